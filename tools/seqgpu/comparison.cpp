#include "comparison.hpp"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "random.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

using nlohmann::json;

constexpr const char* kFormat = "seqgpu comparison 1";

// A hash of each file that the config names, by field.
std::map<std::string, std::string> files_of(const Config& config) {
  std::map<std::string, std::string> hashes;
  for (const Field& field : fields()) {
    if (field.rules.matters != Matters::file_content || !field.applies_to(config)) continue;
    const std::string& path = config.*std::get<std::string Config::*>(field.member);
    if (path.empty()) continue;
    Fingerprint hash;
    hash.add(read_text(path));
    hashes[field.name] = hash.text();
  }
  return hashes;
}

json record_of(const Comparison& comparison) {
  json models = json::array();
  for (const Config& config : comparison.models) {
    models.push_back({{"model", config.model}, {"config", to_toml(config)}, {"files", files_of(config)}});
  }
  return {{"format", kFormat}, {"seeds", comparison.seeds}, {"models", models}};
}

std::vector<std::string> names_in(const json& models) {
  std::vector<std::string> names;
  for (const json& model : models) names.push_back(model.at("model"));
  return names;
}

// What differs between two entries of "models" for the same model.
std::vector<std::string> model_differences(const json& now, const json& before, const std::string& where) {
  const auto config_in = [&](const json& model) {
    return resolve(parse_config(model.at("config").get<std::string>(), where));
  };
  std::vector<std::string> lines = result_differences(config_in(now), config_in(before));
  const std::map<std::string, std::string> files = now.at("files"), files_before = before.at("files");
  for (const Field& field : fields()) {
    const auto a = files.find(field.name), b = files_before.find(field.name);
    const bool is = a != files.end(), was = b != files_before.end();
    if (is && was && a->second != b->second)
      lines.push_back(fmt::format("{}: the file holds something else", field.name));
    if (is != was) lines.push_back(fmt::format("{}: {}", field.name, is ? "a file, was none" : "none, was a file"));
  }
  return lines;
}

// What all models have in common is said once.
std::vector<std::string> record_differences(const json& now, const json& before, const std::string& where) {
  std::vector<std::string> lines;
  const std::vector<std::string> names = names_in(now.at("models")), names_before = names_in(before.at("models"));
  if (names != names_before) {
    lines.push_back(fmt::format("models: {}, was {}", fmt::join(names, ","), fmt::join(names_before, ",")));
  }
  if (now.at("seeds") != before.at("seeds")) {
    lines.push_back(fmt::format("seeds: {}, was {}", now.at("seeds").dump(), before.at("seeds").dump()));
  }
  std::vector<std::pair<std::string, std::string>> found;  // model, line
  std::map<std::string, std::size_t> times;
  std::size_t compared = 0;
  for (const json& model : now.at("models")) {
    for (const json& other : before.at("models")) {
      if (model.at("model") != other.at("model")) continue;
      ++compared;
      for (std::string& line : model_differences(model, other, where)) {
        ++times[line];
        found.emplace_back(model.at("model"), std::move(line));
      }
    }
  }
  std::set<std::string> said;
  for (const auto& [model, line] : found) {
    const std::string text = times.at(line) == compared ? line : model + "." + line;
    if (said.insert(text).second) lines.push_back(text);
  }
  return lines;
}

[[noreturn]] void refuse(ErrorCode code, const std::string& path, const std::string& detail) {
  throw Error(code, "compare", path, detail);
}

// Mean, and deviation of the sample.
std::pair<double, double> spread(const std::vector<double>& values) {
  double sum = 0, squares = 0;
  for (const double value : values) sum += value;
  const double mean = sum / static_cast<double>(values.size());
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / static_cast<double>(values.size() - 1)) : 0};
}

// What the table shows, the measure that chooses the epoch first.
struct Columns {
  std::string what;
  std::vector<std::pair<const char*, const char*>> scores;  // key of Scores, title
};

Columns columns_of(const Config& config) {
  if (config.task == "tag") return {"F1 in percent by conlleval's rules", {{"test_f1", "F1"}}};
  Columns columns{fmt::format("error rates in percent as sclite counts them, decoder {}", config.decoder),
                  {{"test_cer", "CER"}, {"test_wer", "WER"}}};
  if (config.unit == "words") std::swap(columns.scores.front(), columns.scores.back());
  return columns;
}

}  // namespace

std::vector<Config> Comparison::runs() const {
  std::vector<Config> configs;
  for (const Config& model : models) {
    for (std::int64_t seed = 0; seed < seeds; ++seed) {
      configs.push_back(model);
      configs.back().seed += seed;
    }
  }
  return configs;
}

json to_json(const RunOutcome& outcome, const Config& run) {
  json object{{"model", run.model},
              {"seed", run.seed},
              {"best_epoch", outcome.best_epoch},
              {"parameters", outcome.parameters},
              {"seconds_per_epoch", outcome.seconds_per_epoch}};
  for (const auto& [key, value] : outcome.scores) object[key] = value;
  return object;
}

RunFolder ComparisonFolder::run(const Config& config) const {
  return {fmt::format("{}/{}-{}", runs(), config.model, config.seed)};
}

bool ComparisonFolder::open(const Comparison& comparison) const {
  const json now = record_of(comparison);
  if (!std::filesystem::exists(record())) {
    if (std::filesystem::exists(runs())) {
      refuse(ErrorCode::invalid_file, path, "has runs, but no comparison.json that says of what; add --restart");
    }
    write_text(record(), now.dump(1) + "\n");
    return false;
  }
  try {
    const json before = json::parse(read_text(record()));
    if (before.at("format") != kFormat) {
      refuse(ErrorCode::invalid_file, record(), fmt::format("is not a \"{}\"; add --restart", kFormat));
    }
    const std::vector<std::string> changes = record_differences(now, before, record());
    if (changes.empty()) return true;
    refuse(ErrorCode::invalid_argument, path,
           fmt::format("holds another comparison ({}); take another folder, or --restart", fmt::join(changes, "; ")));
  } catch (const json::exception& error) {
    refuse(ErrorCode::invalid_file, record(), fmt::format("{}; add --restart", error.what()));
  }
}

void ComparisonFolder::clear() const {
  // The record last: interrupted between the two, the rest is still known for what it is.
  for (const std::string& name : {runs(), record()}) {
    std::error_code error;
    std::filesystem::remove_all(name, error);
    if (error) refuse(ErrorCode::io_failure, name, error.message());
  }
}

std::optional<RunOutcome> ComparisonFolder::outcome(const Config& config) const {
  const std::string file = run(config).result();
  if (!std::filesystem::exists(file)) return std::nullopt;
  try {
    const json result = json::parse(read_text(file));
    RunOutcome outcome{{}, result.at("seconds_per_epoch"), result.at("parameters"), result.at("best_epoch")};
    for (const auto& [key, value] : result.items()) {
      if (!key.starts_with("dev_") && !key.starts_with("test_")) continue;
      outcome.scores[key] = value.is_null() ? std::nan("") : value.get<double>();
    }
    for (const auto& [key, title] : columns_of(config).scores) result.at(key);
    return outcome;
  } catch (const json::exception& error) {
    refuse(ErrorCode::invalid_file, file, fmt::format("{}; delete it, and that run is scored again", error.what()));
  }
}

void ComparisonFolder::keep(const RunOutcome& outcome, const Config& config) const {
  write_text(run(config).result(), to_json(outcome, config).dump() + "\n");
}

std::string comparison_table(const Comparison& comparison, const std::vector<RunOutcome>& outcomes,
                             const std::string& command_line) {
  const Config& first = comparison.models.front();
  const Columns columns = columns_of(first);
  const bool held_back = first.dev.empty() && first.dev_fraction > 0;
  std::string text = fmt::format(
      "Made by:\n\n```\n{}\n```\n\nTest {}, mean +- sample deviation over {} seeds.{}\n\n| model |", command_line,
      columns.what, comparison.seeds,
      !held_back ? ""
                 : fmt::format(" A seed also decides\nwhich training {} are held back to choose the best epoch.",
                               first.task == "tag" ? "sentences" : "recordings"));
  std::string rule = "|---|";
  for (const auto& [key, title] : columns.scores) {
    const bool each = key == columns.scores.front().first;
    text += fmt::format(" test {} |{}", title, each ? " each seed |" : "");
    rule += each ? "---|---|" : "---|";
  }
  text += " parameters | s / epoch |\n" + rule + "---|---|\n";

  const auto seeds = static_cast<std::size_t>(comparison.seeds);
  for (std::size_t m = 0; m < comparison.models.size(); ++m) {
    text += fmt::format("| {} |", comparison.models[m].model);
    const auto over_seeds = [&](const auto& value) {
      std::vector<double> values;
      for (std::size_t s = 0; s < seeds; ++s) values.push_back(value(outcomes[m * seeds + s]));
      return values;
    };
    for (const auto& [key, title] : columns.scores) {
      const std::vector<double> scores =
          over_seeds([key = key](const RunOutcome& outcome) { return 100 * outcome.scores.at(key); });
      const auto [mean, deviation] = spread(scores);
      text += fmt::format(" {:.2f} +- {:.2f} |", mean, deviation);
      if (key == columns.scores.front().first) text += fmt::format(" {:.2f} |", fmt::join(scores, ", "));
    }
    const std::vector<double> seconds = over_seeds([](const RunOutcome& outcome) { return outcome.seconds_per_epoch; });
    text += fmt::format(" {} | {:.2f} |\n", outcomes[m * seeds].parameters, spread(seconds).first);
  }
  return text;
}

}  // namespace seqgpu::tool
