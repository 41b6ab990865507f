#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "run_folder.hpp"
#include "task.hpp"

namespace seqgpu::tool {

struct EpochRecord {
  std::int64_t epoch = 0, step = 0;  ///< both count from 1
  double loss = 0;                   ///< mean over the epoch's steps
  Scores dev;
  double rate = 0;
  std::int64_t skipped = 0;  ///< steps so far whose gradient was not finite
  double seconds = 0;
};

struct TrainingResult {
  std::vector<EpochRecord> history;
  std::int64_t best_epoch = 0;
  Scores best;                       ///< of the dev set at that epoch; empty where there is none
  std::int64_t resumed_at = 0;       ///< step; 0: from the start
  std::string non_finite_parameter;  ///< of the last skipped step
};

struct TrainingPlace {
  const RunFolder* folder = nullptr;  ///< metrics and the best model go there; nullptr: nowhere
  bool checkpoints = false;           ///< in the folder; an earlier start's are continued
  std::FILE* progress = nullptr;      ///< nullptr: silent
};

/// Trains, and leaves the parameters of the best epoch in the task. The order of the data depends on (seed, epoch)
/// alone, so that a run killed at any moment and started again ends with the bits of one that was not.
/// @throws Error{invalid_argument} if the folder's checkpoints are of another configuration or other data
TrainingResult train(Task& task, const TrainingPlace& place);

/// The optimiser that the config asks for.
Optimizer optimizer_of(const Config& config);

/// One JSON object a line.
std::string metrics_text(const std::vector<EpochRecord>& history);

}  // namespace seqgpu::tool
