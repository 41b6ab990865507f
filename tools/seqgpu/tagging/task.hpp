#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "tagger.hpp"
#include "tools/seqgpu/task.hpp"

namespace seqgpu::tool {

/// A tagger and the sentences that it learns from.
class TaggingTask : public Task {
 public:
  /// @param config  resolved
  TaggingTask(const Device& device, const Config& config, Corpus corpus);

  Tagger& tagger() { return *tagger_; }
  const Corpus& corpus() const { return corpus_; }

  const Config& config() const override { return tagger_->config(); }
  const Device& device() const override { return tagger_->device(); }
  Parameters& parameters() override { return tagger_->parameters(); }
  Value loss(Graph& graph) const override { return tagger_->loss(graph); }

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
  Corpus corpus_;
  TagLists dev_tags_;
  std::unique_ptr<Tagger> tagger_;
  std::int64_t planned_ = -1;  // epoch of batches_
  std::vector<data::SequenceBatch> batches_;
};

}  // namespace seqgpu::tool
