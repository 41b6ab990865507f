#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>

#include "config.hpp"
#include "seqgpu/seqgpu.hpp"

namespace seqgpu::tool {

struct RunFolder;
struct TrainingResult;

/// What is measured on the dev set, "dev_f1", "dev_loss", ..., or on the test set, "test_f1", ...
using Scores = std::map<std::string, double>;

/// The score that says which epoch is best; of equals, the one with the lower "dev_loss", where that is measured.
struct Measure {
  const char* key;    ///< of Scores
  const char* title;  ///< for people: "F1"; shown in percent
  bool higher_is_better;
};

/// Whether `now` is better than `before`.
bool better(const Measure& measure, const Scores& now, const Scores& before);

/// A model with its data, as the training loop sees it. What an epoch holds depends on (seed, epoch) alone.
class Task {
 public:
  Task() = default;
  virtual ~Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  virtual const Config& config() const = 0;
  virtual const Device& device() const = 0;
  virtual Parameters& parameters() = 0;
  virtual Value loss(Graph& graph) const = 0;

  /// Orders the training set for an epoch, from 0. @return its steps
  virtual std::int64_t plan_epoch(std::int64_t epoch) = 0;
  struct Step {
    Batch inputs;
    std::int64_t sequences = 0;
  };
  /// A step of the planned epoch.
  virtual Step step(std::int64_t index) const = 0;
  /// Of the planned epoch, the step that takes the most memory.
  virtual std::int64_t largest_step() const = 0;

  virtual Measure measure() const = 0;
  /// Empty where there is no dev set.
  virtual Scores score_dev() = 0;

  /// "test_f1", or "test_cer" and "test_wer"; empty where there is no test set.
  virtual Scores score_test() = 0;

  /// Changes with anything in the training or dev set.
  virtual std::string fingerprint() const = 0;
  virtual void save(const std::string& path, const TensorMap& parameters) const = 0;

  /// "4473 train, 497 dev, 893 test sentences"
  virtual std::string describe() const = 0;
  /// After training: scores the test set and writes the report.
  /// @param result  gets what the tool prints of it
  virtual void finish(const RunFolder& folder, const TrainingResult& training, nlohmann::json& result) = 0;
};

/// The task that the config asks for, with the data it names.
std::unique_ptr<Task> make_task(const Device& device, const Config& config);

}  // namespace seqgpu::tool
