#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "commands.hpp"
#include "comparison.hpp"
#include "device.hpp"
#include "run_lock.hpp"
#include "seqgpu/error.hpp"
#include "training.hpp"

namespace seqgpu::tool {
namespace {

struct CompareOptions {
  ConfigFlags config;
  std::vector<std::string> models;  // empty: all that the task knows
  std::vector<std::string> settings;
  std::int64_t seeds = 3, jobs = 1;
  std::string out;
  ComparisonFolder folder;
  bool restart = false;
};

[[noreturn]] void refuse(const char* argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "compare", argument, detail);
}

// "MODEL.KEY=VALUE"
struct Setting {
  std::string model, key, value;
};

Setting parse_setting(const std::string& text) {
  const std::size_t dot = text.find('.'), equals = text.find('=');
  if (dot == std::string::npos || equals == std::string::npos || equals < dot) {
    refuse("--set", "must be MODEL.KEY=VALUE, got " + text);
  }
  return {text.substr(0, dot), text.substr(dot + 1, equals - dot - 1), text.substr(equals + 1)};
}

void apply(const Setting& setting, Config& config) {
  for (const Field& field : fields()) {
    if (setting.key != field.name) continue;
    const bool text = std::holds_alternative<std::string Config::*>(field.member);
    const char* quote = text ? "\"" : "";
    const std::string section = std::string_view(field.section) == "data" ? "" : fmt::format("[{}]\n", field.section);
    const Config parsed = parse_config(fmt::format("[data]\ntask = \"{}\"\n{}{} = {}{}{}\n", config.task, section,
                                                   setting.key, quote, setting.value, quote),
                                       "--set");
    std::visit([&](auto member) { config.*member = parsed.*member; }, field.member);
    return;
  }
  refuse("--set", "no option is called " + setting.key);
}

std::vector<std::string> models_of(const CompareOptions& options, const Config& base) {
  std::vector<std::string> models = options.models;
  if (models.empty()) {
    std::copy_if(model_names().begin(), model_names().end(), std::back_inserter(models),
                 [&](const char* name) { return base.task == "tag" || can_transcribe(name); });
  }
  for (auto at = models.begin(); at != models.end(); ++at) {
    if (std::find(models.begin(), at, *at) != at) refuse("--models", "names " + *at + " twice");
  }
  return models;
}

Comparison comparison_of(const CompareOptions& options) {
  const Config base = options.config.unresolved();
  if (base.train.empty() || base.test.empty()) refuse(base.train.empty() ? "--train" : "--test", "names no file");
  const std::vector<std::string> models = models_of(options, base);
  std::vector<Setting> settings;
  for (const std::string& text : options.settings) {
    settings.push_back(parse_setting(text));
    const Setting& setting = settings.back();
    if (std::find(models.begin(), models.end(), setting.model) == models.end()) {
      refuse("--set",
             fmt::format("names {}, which is not among the models: {}", setting.model, fmt::join(models, ", ")));
    }
    if (setting.key == "model" || setting.key == "task") refuse("--set", "cannot change the " + setting.key);
  }
  Comparison comparison{{}, options.seeds};
  for (const std::string& model : models) {
    Config config = base;
    config.model = model;
    for (const Setting& setting : settings) {
      if (setting.model == model) apply(setting, config);
    }
    comparison.models.push_back(resolve(config));
  }
  return comparison;
}

// Trains and scores, or takes what an earlier start found. @param folder  nullptr: nothing is kept
RunOutcome outcome_of(const Config& config, const ComparisonFolder* folder) {
  std::optional<RunFolder> place;
  std::optional<RunLock> lock;
  if (folder != nullptr) {
    if (const auto before = folder->outcome(config)) return *before;
    place = folder->run(config);
    lock.emplace(place->path);
  }
  const std::unique_ptr<Task> task = make_task(take_device(config.threads).device, config);
  const TrainingResult training = train(*task, {place ? &*place : nullptr, place.has_value(), nullptr});
  if (training.resumed_at > 0) fmt::print(stderr, "{} went on from step {}\n", place->path, training.resumed_at);
  double seconds = 0;
  for (const EpochRecord& record : training.history) seconds += record.seconds;
  RunOutcome outcome{training.best, seconds / static_cast<double>(training.history.size()),
                     task->parameters().elements(), training.best_epoch};
  outcome.scores.merge(task->score_test());
  if (folder != nullptr) {
    write_text(place->config(), to_toml(task->config()));
    folder->keep(outcome, config);
  }
  return outcome;
}

// Several runs at a time, each printed as it ends. The first error stops those that have not begun.
std::vector<RunOutcome> run_all(const std::vector<Config>& configs, std::int64_t jobs, const ComparisonFolder* folder) {
  std::vector<RunOutcome> outcomes(configs.size());
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // of failure and stdout
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < configs.size(); i = next++) {
      try {
        outcomes[i] = outcome_of(configs[i], folder);
        const std::lock_guard lock(mutex);
        fmt::print("{}\n", to_json(outcomes[i], configs[i]).dump());
        std::fflush(stdout);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next = configs.size();
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (std::int64_t job = 0; job < jobs; ++job) workers.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  return outcomes;
}

void run_compare(const CompareOptions& options, const std::string& command_line) {
  const Comparison comparison = comparison_of(options);
  std::vector<Config> configs = comparison.runs();
  if (options.jobs > 1) {
    for (Config& config : configs) config.threads = 1;
  }
  const ComparisonFolder* folder = options.folder.path.empty() ? nullptr : &options.folder;
  if (folder == nullptr && options.restart) refuse("--restart", "needs the folder of --run");
  std::optional<RunLock> lock;
  if (folder != nullptr) {
    lock.emplace(folder->path);
    if (options.restart) folder->clear();
    if (folder->open(comparison)) {
      const auto done = std::count_if(configs.begin(), configs.end(),
                                      [&](const Config& config) { return folder->outcome(config).has_value(); });
      fmt::print(stderr, "{}: {} of {} runs are done, going on\n", folder->path, done, configs.size());
    }
  }
  const std::string table = comparison_table(comparison, run_all(configs, options.jobs, folder), command_line);
  if (options.out.empty()) {
    fmt::print(stderr, "\n{}", table);
  } else {
    write_text(options.out, table);
  }
}

}  // namespace

void add_compare(CLI::App& app, const std::string& command_line) {
  CLI::App* command =
      app.add_subcommand("compare",
                         "Train several taggers or recognisers (--task transcribe) with several seeds and make one "
                         "table; with --run, goes on where an earlier start stopped");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("--models", options->models, "comma separated; none: all that the task knows")->delimiter(',');
  command->add_option("--seeds", options->seeds, "runs of a model, from --seed on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--jobs", options->jobs, "runs at a time; above 1, each with one thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command->add_option("--set", options->settings, "an option for one model only: MODEL.KEY=VALUE; repeatable");
  command->add_option("--out", options->out, "file for the table (Markdown); none: stderr");
  command->add_option("--run", options->folder.path,
                      "folder for the runs, each with its model, checkpoints and metrics; none: nothing is kept, and "
                      "what is interrupted is lost");
  command->add_flag("--restart", options->restart, "delete the folder's runs first");
  options->config.add_to(*command, {"model"});
  command->footer("Prints a line of JSON for each run as it ends, or that had ended before.");
  command->callback([options, command_line] { run_compare(*options, command_line); });
}

}  // namespace seqgpu::tool
