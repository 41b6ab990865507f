#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "recogniser.hpp"
#include "scoring.hpp"
#include "tools/seqgpu/task.hpp"

namespace seqgpu::tool {

/// A recogniser and the recordings that it learns from.
class SpeechTask : public Task {
 public:
  SpeechTask(const Device& device, SpeechCorpus corpus);

  Recogniser& recogniser() { return recogniser_; }
  const SpeechCorpus& corpus() const { return corpus_; }

  const Config& config() const override { return recogniser_.config(); }
  const Device& device() const override { return recogniser_.device(); }
  Parameters& parameters() override { return recogniser_.parameters(); }
  Value loss(Graph& graph) const override { return recogniser_.loss(graph); }

  std::int64_t plan_epoch(std::int64_t epoch) override;
  Step step(std::int64_t index) const override;
  std::int64_t largest_step() const override;

  Measure measure() const override;
  Scores score_dev() override;
  Scores score_test() override;

  std::string fingerprint() const override { return tool::fingerprint(corpus_); }
  void save(const std::string& path, const TensorMap& parameters) const override;
  std::string describe() const override;
  void finish(const RunFolder& folder, const TrainingResult& training, nlohmann::json& result) override;

 private:
  SpeechCorpus corpus_;
  Recogniser recogniser_;
  data::SpeechBatchOptions options_;
  std::int64_t epoch_ = 0;
  std::vector<std::vector<int>> plan_;  // of epoch_
};

}  // namespace seqgpu::tool
