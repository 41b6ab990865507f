#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "run_lock.hpp"
#include "seqgpu/error.hpp"
#include "task.hpp"
#include "training.hpp"

namespace seqgpu::tool {
namespace {

struct TrainOptions {
  ConfigFlags config;
  RunFolder folder;
  bool restart = false, dry_run = false;
  std::string trace;
};

// --dry-run and --trace: a step's plan or its timeline, with a trainer of its own.
void look_at_step(Task& task, const TrainOptions& options) {
  Trainer trainer(task.device(), task.parameters(), optimizer_of(task.config()),
                  [&task](Graph& graph) { return task.loss(graph); }, {.memory_bytes = memory_bytes(task.config())});
  task.plan_epoch(0);
  const Batch batch = task.step(task.largest_step()).inputs;
  if (options.dry_run) {
    fmt::print("largest batch:\n");
    for (const auto& [name, tensor] : batch) fmt::print("  {} {}\n", name, to_string(tensor.shape));
    fmt::print("{}\npredicted peak: {} bytes\n", trainer.describe(batch), trainer.predicted_peak_bytes(batch));
  }
  if (!options.trace.empty()) {
    trainer.step(batch);  // the first step also plans
    write_text(options.trace, trainer.trace(batch));
    fmt::print(stderr, "timeline of one step: {} (open it in chrome://tracing)\n", options.trace);
  }
}

void run_train(const TrainOptions& options) {
  const Config config = options.config.resolved();
  if (config.train.empty()) throw Error(ErrorCode::invalid_argument, "train", "--train", "names no file");
  const bool look_only = options.dry_run || !options.trace.empty();
  if (!look_only && options.folder.path.empty()) {
    throw Error(ErrorCode::invalid_argument, "train", "--run", "names no folder for the results");
  }
  std::optional<RunLock> lock;  // before the data is read, which may take long
  if (!look_only) lock.emplace(options.folder.path);
  const DeviceChoice choice = take_device(config.threads);
  const std::unique_ptr<Task> task = make_task(choice.device, config);
  if (look_only) return look_at_step(*task, options);

  fmt::print(stderr, "{}; {}; {} parameters\n", to_line(choice), task->describe(), task->parameters().elements());
  if (options.restart) options.folder.clear();
  const TrainingResult training = train(*task, {&options.folder, true, stderr});
  write_text(options.folder.config(), to_toml(task->config()));

  const EpochRecord& last = training.history.back();
  if (last.skipped > 0) {
    fmt::print(stderr, "{} steps were skipped: the gradient was not finite{}\n", last.skipped,
               training.non_finite_parameter.empty() ? "" : " (last in " + training.non_finite_parameter + ")");
  }
  nlohmann::json result{{"run", options.folder.path}, {"task", config.task},
                        {"model", config.model},      {"parameters", task->parameters().elements()},
                        {"epochs", last.epoch},       {"steps", last.step},
                        {"skipped", last.skipped},    {"best_epoch", training.best_epoch}};
  for (const auto& [key, value] : training.best) result[key] = value;
  task->finish(options.folder, training, result);
  fmt::print("{}\n", result.dump());
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train",
                                         "Train a tagger on IOB files, or a recogniser on sound files "
                                         "(--task transcribe); goes on where an earlier start stopped");
  auto options = std::make_shared<TrainOptions>();
  command->add_option("--run", options->folder.path, "folder for model, checkpoints, metrics and report");
  command->add_flag("--restart", options->restart, "delete the folder's checkpoints first");
  command->add_flag("--dry-run", options->dry_run, "print the memory plan of the largest batch and stop");
  command->add_option("--trace", options->trace, "write the timeline of one step to this file and stop");
  options->config.add_to(*command);
  command->footer("Prints one line of JSON with the result; all else goes to stderr.");
  command->callback([options] { run_train(*options); });
}

}  // namespace seqgpu::tool
