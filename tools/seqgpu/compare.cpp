#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <exception>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "seqgpu/data/conlleval.hpp"
#include "tools/seqgpu/tagging/task.hpp"
#include "training.hpp"

namespace seqgpu::tool {
namespace {

struct CompareOptions {
  ConfigFlags config;
  std::vector<std::string> models{model_names().begin(), model_names().end()};
  std::vector<std::string> settings;
  std::int64_t seeds = 3, jobs = 1;
  std::string out;
};

struct Outcome {
  double test_f1 = 0, dev_f1 = 0, seconds_per_epoch = 0;
  std::int64_t parameters = 0, best_epoch = 0;
};

// Applies "MODEL.KEY=VALUE" to a config of that model.
void apply_setting(Config& config, const std::string& setting) {
  const std::size_t dot = setting.find('.'), equals = setting.find('=');
  if (dot == std::string::npos || equals == std::string::npos || equals < dot) {
    throw Error(ErrorCode::invalid_argument, "compare", "--set", "must be MODEL.KEY=VALUE, got " + setting);
  }
  if (setting.substr(0, dot) != config.model) return;
  const std::string key = setting.substr(dot + 1, equals - dot - 1);
  for (const Field& field : fields()) {
    if (key != field.name) continue;
    const bool text = std::holds_alternative<std::string Config::*>(field.member);
    const char* quote = text ? "\"" : "";
    const Config parsed = parse_config(
        fmt::format("[{}]\n{} = {}{}{}\n", field.section, key, quote, setting.substr(equals + 1), quote), "--set");
    std::visit([&](auto member) { config.*member = parsed.*member; }, field.member);
    return;
  }
  throw Error(ErrorCode::invalid_argument, "compare", "--set", "no option is called " + key);
}

Outcome train_one(const Config& config, int threads) {
  TaggingTask task(take_device(threads).device, config, load_corpus(config));
  const TrainingResult training = train(task, {});
  const Corpus& corpus = task.corpus();
  double seconds = 0;
  for (const EpochRecord& record : training.history) seconds += record.seconds;
  const double dev_f1 = training.best.empty() ? 0 : training.best.at(task.measure().key);
  return {data::conlleval(tag_lists(corpus.test), task.tagger().label(corpus.test)).overall.f1, dev_f1,
          seconds / static_cast<double>(training.history.size()), task.parameters().elements(), training.best_epoch};
}

// Mean, and deviation of the sample.
std::pair<double, double> spread(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / static_cast<double>(values.size() - 1)) : 0};
}

std::string table_text(const CompareOptions& options, const std::vector<std::vector<Outcome>>& outcomes,
                       const std::string& command_line, bool held_back) {
  std::string text = fmt::format(
      "Made by:\n\n```\n{}\n```\n\nTest F1 in percent by conlleval's rules, mean +- sample deviation over {} "
      "seeds.{}\n\n"
      "| model | test F1 | each seed | parameters | s / epoch |\n|---|---|---|---|---|\n",
      command_line, options.seeds,
      held_back ? " A seed also decides\nwhich training sentences are held back to choose the best epoch." : "");
  for (std::size_t m = 0; m < options.models.size(); ++m) {
    std::vector<double> scores, seconds;
    for (const Outcome& outcome : outcomes[m]) {
      scores.push_back(100 * outcome.test_f1);
      seconds.push_back(outcome.seconds_per_epoch);
    }
    const auto [mean, deviation] = spread(scores);
    text += fmt::format("| {} | {:.2f} +- {:.2f} | {:.2f} | {} | {:.2f} |\n", options.models[m], mean, deviation,
                        fmt::join(scores, ", "), outcomes[m].front().parameters, spread(seconds).first);
  }
  return text;
}

void run_compare(const CompareOptions& options, const std::string& command_line) {
  const Config base = options.config.resolved();
  if (base.task != "tag") {
    throw Error(ErrorCode::invalid_argument, "compare", "task", "must be \"tag\"; recognisers are trained one by one");
  }
  const auto seeds = static_cast<std::size_t>(options.seeds);
  std::vector<Config> configs;
  for (const std::string& model : options.models) {
    Config config = base;
    config.model = model;
    if (!options.config.given("context")) config.context = -1;
    for (const std::string& setting : options.settings) apply_setting(config, setting);
    for (std::size_t seed = 0; seed < seeds; ++seed) {
      configs.push_back(resolve(config));
      ++config.seed;
    }
  }
  if (base.train.empty() || base.test.empty()) {
    throw Error(ErrorCode::invalid_argument, "compare", base.train.empty() ? "--train" : "--test", "names no file");
  }

  std::vector<std::vector<Outcome>> outcomes(options.models.size(), std::vector<Outcome>(seeds));
  std::atomic<std::size_t> next{0};
  std::mutex mutex;  // of failure and stdout
  std::exception_ptr failure;
  const auto work = [&] {
    for (std::size_t i = next++; i < configs.size(); i = next++) {
      try {
        const Outcome outcome = train_one(configs[i], options.jobs > 1 ? 1 : static_cast<int>(base.threads));
        outcomes[i / seeds][i % seeds] = outcome;
        const std::lock_guard lock(mutex);
        fmt::print("{}\n", nlohmann::json{{"model", configs[i].model},
                                          {"seed", configs[i].seed},
                                          {"test_f1", outcome.test_f1},
                                          {"dev_f1", outcome.dev_f1},
                                          {"best_epoch", outcome.best_epoch},
                                          {"parameters", outcome.parameters},
                                          {"seconds_per_epoch", outcome.seconds_per_epoch}}
                               .dump());
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
    for (std::int64_t job = 0; job < options.jobs; ++job) workers.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
  const std::string table = table_text(options, outcomes, command_line, base.dev.empty());
  if (options.out.empty()) {
    fmt::print(stderr, "\n{}", table);
  } else {
    write_text(options.out, table);
  }
}

}  // namespace

void add_compare(CLI::App& app, const std::string& command_line) {
  CLI::App* command = app.add_subcommand("compare", "Train several models with several seeds and make one table");
  auto options = std::make_shared<CompareOptions>();
  command->add_option("--models", options->models, "comma separated")->delimiter(',');
  command->add_option("--seeds", options->seeds, "runs of a model, from --seed on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--jobs", options->jobs, "runs at a time; above 1, each with one thread")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  command->add_option("--set", options->settings, "an option for one model only: MODEL.KEY=VALUE; repeatable");
  command->add_option("--out", options->out, "file for the table (Markdown); none: stderr");
  options->config.add_to(*command, {"model"});
  command->footer("Prints a line of JSON for each run as it ends.");
  command->callback([options, command_line] { run_compare(*options, command_line); });
}

}  // namespace seqgpu::tool
