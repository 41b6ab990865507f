#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "commands.hpp"
#include "device.hpp"
#include "report.hpp"
#include "run_folder.hpp"
#include "seqgpu/checkpoint.hpp"
#include "tagger.hpp"
#include "training.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kExamples = 12;

struct TrainOptions {
  ConfigFlags config;
  RunFolder folder;
  bool restart = false, dry_run = false;
  std::string trace;
};

// The batch that takes the most memory.
data::SequenceBatch largest_batch(const Tagger& tagger, const Corpus& corpus) {
  std::vector<data::SequenceBatch> batches = tagger.batches(corpus.train, 0);
  const auto elements = [](const data::SequenceBatch& batch) {
    return batch.words.shape.elements() + static_cast<std::int64_t>(batch.trigrams.bytes.size());
  };
  return *std::max_element(batches.begin(), batches.end(),
                           [&](const auto& a, const auto& b) { return elements(a) < elements(b); });
}

// --dry-run and --trace: a step's plan or its timeline, with a trainer of its own.
void look_at_step(Tagger& tagger, const Corpus& corpus, const TrainOptions& options) {
  Trainer trainer(tagger.device(), tagger.parameters(), optimizer_of(tagger.config()),
                  [&tagger](Graph& graph) { return tagger.loss(graph); });
  const Batch batch = tagger.feed(largest_batch(tagger, corpus));
  if (options.dry_run) {
    const Shape& words = batch.at("words").shape;
    fmt::print("largest batch: {} steps of {} sentences\n{}\npredicted peak: {} bytes\n", words[0], words[1],
               trainer.describe(batch), trainer.predicted_peak_bytes(batch));
  }
  if (!options.trace.empty()) {
    trainer.step(batch);  // the first step also plans
    write_text(options.trace, trainer.trace(batch));
    fmt::print(stderr, "timeline of one step: {} (open it in chrome://tracing)\n", options.trace);
  }
}

void write_report(const RunFolder& folder, Tagger& tagger, const Corpus& corpus, const TrainingResult& training,
                  nlohmann::json& result) {
  ReportData report;
  report.title = fmt::format("seqgpu: {} tagger", tagger.config().model);
  report.config = tagger.config();
  report.training = training;
  report.test = corpus.test.empty() ? corpus.dev : corpus.test;
  report.predicted = tagger.label(report.test);
  const double f1 = data::conlleval(tag_lists(report.test), report.predicted).overall.f1;
  if (!corpus.test.empty()) result["test_f1"] = f1;
  report.summary = fmt::format("{} parameters; best epoch {}, dev F1 {:.2f}; F1 below is of {}: {:.2f}.",
                               tagger.parameters().elements(), training.best_epoch, 100 * training.best_f1,
                               corpus.test.empty() ? "the dev set" : "the test set", 100 * f1);
  for (std::size_t i = 0; i < std::min(kExamples, report.test.size()); ++i) {
    report.examples.push_back({report.test[i], report.predicted[i]});
  }
  write_text(folder.report(), report_html(report));
}

void run_train(const TrainOptions& options) {
  const Config config = options.config.resolved();
  if (config.train.empty()) throw Error(ErrorCode::invalid_argument, "train", "--train", "names no file");
  const bool look_only = options.dry_run || !options.trace.empty();
  if (!look_only && options.folder.path.empty()) {
    throw Error(ErrorCode::invalid_argument, "train", "--run", "names no folder for the results");
  }
  const Corpus corpus = load_corpus(config);
  const DeviceChoice choice = take_device(config.threads);
  Tagger tagger(choice.device, config, build_lexicon(corpus.train, config));
  if (look_only) return look_at_step(tagger, corpus, options);

  fmt::print(stderr, "{}; {} train, {} dev, {} test sentences; {} parameters\n", to_line(choice), corpus.train.size(),
             corpus.dev.size(), corpus.test.size(), tagger.parameters().elements());
  options.folder.create();
  if (options.restart) options.folder.clear();
  const TrainingResult training = train_tagger(tagger, corpus, {&options.folder, true, stderr});
  write_text(options.folder.config(), to_toml(config));

  const EpochRecord& last = training.history.back();
  if (last.skipped > 0) {
    fmt::print(stderr, "{} steps were skipped: the gradient was not finite{}\n", last.skipped,
               training.non_finite_parameter.empty() ? "" : " (last in " + training.non_finite_parameter + ")");
  }
  nlohmann::json result{{"run", options.folder.path},
                        {"model", config.model},
                        {"parameters", tagger.parameters().elements()},
                        {"epochs", last.epoch},
                        {"steps", last.step},
                        {"skipped", last.skipped},
                        {"best_epoch", training.best_epoch},
                        {"dev_f1", training.best_f1}};
  write_report(options.folder, tagger, corpus, training, result);
  fmt::print("{}\n", result.dump());
}

}  // namespace

void add_train(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("train", "Train a tagger on IOB files; goes on where an earlier start stopped");
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
