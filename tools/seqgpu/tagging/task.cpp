#include "task.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "report.hpp"
#include "seqgpu/data/conlleval.hpp"
#include "tools/seqgpu/run_folder.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kExamples = 12;

}  // namespace

TaggingTask::TaggingTask(const Device& device, const Config& config, Corpus corpus)
    : corpus_(std::move(corpus)),
      dev_tags_(tag_lists(corpus_.dev)),
      tagger_(std::make_unique<Tagger>(device, config, build_lexicon(corpus_.train, config))) {}

std::int64_t TaggingTask::plan_epoch(std::int64_t epoch) {
  if (planned_ != epoch) batches_ = tagger_->batches(corpus_.train, epoch);
  planned_ = epoch;
  return static_cast<std::int64_t>(batches_.size());
}

Task::Step TaggingTask::step(std::int64_t index) const {
  const data::SequenceBatch& batch = batches_[static_cast<std::size_t>(index)];
  const auto sequences = std::count_if(batch.sentence_index.begin(), batch.sentence_index.end(),
                                       [](int sentence) { return sentence >= 0; });
  return {tagger_->feed(batch), sequences};
}

std::int64_t TaggingTask::largest_step() const {
  const auto elements = [](const data::SequenceBatch& batch) {
    return batch.words.shape.elements() + static_cast<std::int64_t>(batch.trigrams.bytes.size());
  };
  return std::max_element(batches_.begin(), batches_.end(),
                          [&](const auto& a, const auto& b) { return elements(a) < elements(b); }) -
         batches_.begin();
}

Measure TaggingTask::measure() const { return kTaggingMeasure; }

Scores TaggingTask::score_dev() {
  if (corpus_.dev.empty()) return {};
  return {{kTaggingMeasure.key, data::conlleval(dev_tags_, tagger_->label(corpus_.dev)).overall.f1}};
}

Scores TaggingTask::score_test() {
  if (corpus_.test.empty()) return {};
  return {{"test_f1", data::conlleval(tag_lists(corpus_.test), tagger_->label(corpus_.test)).overall.f1}};
}

void TaggingTask::save(const std::string& path, const TensorMap& parameters) const {
  save_tagger(path, *tagger_, parameters);
}

std::string TaggingTask::describe() const {
  return fmt::format("{} train, {} dev, {} test sentences", corpus_.train.size(), corpus_.dev.size(),
                     corpus_.test.size());
}

void TaggingTask::finish(const RunFolder& folder, const TrainingResult& training, nlohmann::json& result) {
  const bool has_test = !corpus_.test.empty();
  TaggingReport report;
  report.title = fmt::format("seqgpu: {} tagger", config().model);
  report.config = config();
  report.training = training;
  report.test = has_test ? corpus_.test : corpus_.dev;
  report.predicted = tagger_->label(report.test);
  const double f1 = data::conlleval(tag_lists(report.test), report.predicted).overall.f1;
  if (has_test) result["test_f1"] = f1;
  report.summary = fmt::format("{} parameters; best epoch {}; F1 of {}: {:.2f}.", parameters().elements(),
                               training.best_epoch, has_test ? "the test set" : "the dev set", 100 * f1);
  for (std::size_t i = 0; i < std::min(kExamples, report.test.size()); ++i) {
    report.examples.push_back({report.test[i], report.predicted[i]});
  }
  write_text(folder.report(), tagging_report(report));
}

}  // namespace seqgpu::tool
