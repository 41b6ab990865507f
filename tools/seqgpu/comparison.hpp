#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config.hpp"
#include "run_folder.hpp"
#include "task.hpp"

namespace seqgpu::tool {

/// Several models, each trained with several seeds on the same data.
struct Comparison {
  std::vector<Config> models;  ///< each with its first seed; resolved
  std::int64_t seeds = 1;

  /// Of every run, model by model.
  std::vector<Config> runs() const;
};

/// What is kept of one run.
struct RunOutcome {
  Scores scores;  ///< of the test set and, where there is one, of the dev set
  double seconds_per_epoch = 0;
  std::int64_t parameters = 0, best_epoch = 0;
};

/// A line of what the tool prints, and the file that marks a run as done.
nlohmann::json to_json(const RunOutcome& outcome, const Config& run);

/// Where a comparison goes on after an interruption: what is compared, and a folder for each run.
struct ComparisonFolder {
  std::string path;

  std::string record() const { return path + "/comparison.json"; }
  std::string runs() const { return path + "/runs"; }
  RunFolder run(const Config& config) const;

  /// Writes down what is compared, or checks that it is what an earlier start wrote. Files are compared by content.
  /// @return whether there was an earlier start
  /// @throws Error{invalid_argument} naming what differs
  bool open(const Comparison& comparison) const;
  /// Deletes the record and all runs.
  void clear() const;

  /// Of a run that is done; nothing before that.
  /// @throws Error{invalid_file}
  std::optional<RunOutcome> outcome(const Config& run) const;
  /// Marks a run as done.
  void keep(const RunOutcome& outcome, const Config& run) const;
};

/// A row for each model. @param outcomes  of comparison.runs()
std::string comparison_table(const Comparison& comparison, const std::vector<RunOutcome>& outcomes,
                             const std::string& command_line);

}  // namespace seqgpu::tool
