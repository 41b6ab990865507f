#include "task.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "report.hpp"
#include "tools/seqgpu/random.hpp"
#include "tools/seqgpu/run_folder.hpp"

namespace seqgpu::tool {
namespace {

// By the unit of the symbols; the key of the one that chooses the epoch.
constexpr Measure kByCharacters{"dev_cer", "CER", false};
constexpr Measure kByWords{"dev_wer", "WER", false};

}  // namespace

SpeechTask::SpeechTask(const Device& device, SpeechCorpus corpus)
    : corpus_(std::move(corpus)),
      recogniser_(device, corpus_.config, corpus_.symbols, corpus_.front_end),
      options_(recogniser_.batch_options()) {}

std::int64_t SpeechTask::plan_epoch(std::int64_t epoch) {
  epoch_ = epoch;
  plan_ = data::plan_speech_batches(corpus_.train.examples, options_, static_cast<std::uint64_t>(epoch));
  return static_cast<std::int64_t>(plan_.size());
}

Task::Step SpeechTask::step(std::int64_t index) const {
  const std::vector<int>& columns = plan_[static_cast<std::size_t>(index)];
  data::SpeechBatch batch =
      data::make_speech_batch(corpus_.train.examples, columns, options_, static_cast<std::uint64_t>(epoch_));
  if (config().feature_noise > 0) {
    const std::uint64_t stream = mix(mix(options_.seed) ^ static_cast<std::uint64_t>(epoch_));
    add_noise(batch.features.view<float>(), config().feature_noise, stream + static_cast<std::uint64_t>(index));
  }
  const auto sequences = std::count_if(columns.begin(), columns.end(), [](int column) { return column >= 0; });
  return {Recogniser::feed(std::move(batch)), sequences};
}

std::int64_t SpeechTask::largest_step() const {
  const auto frames = [&](const std::vector<int>& columns) {
    std::int64_t most = 0;
    for (const int column : columns) {
      if (column < 0) continue;
      most = std::max(most, corpus_.train.examples[static_cast<std::size_t>(column)].features.shape[0]);
    }
    return most * static_cast<std::int64_t>(columns.size());
  };
  return std::max_element(plan_.begin(), plan_.end(),
                          [&](const auto& a, const auto& b) { return frames(a) < frames(b); }) -
         plan_.begin();
}

Measure SpeechTask::measure() const { return config().unit == "words" ? kByWords : kByCharacters; }

Scores SpeechTask::score_dev() {
  if (corpus_.dev.empty()) return {};
  const Decoder greedy = Decoder::greedy(static_cast<int>(config().threads));
  const SpeechScores scores =
      score(corpus_.dev, recogniser_.transcribe(corpus_.dev.examples, greedy), corpus_.symbols.unit());
  return {
      {kByCharacters.key, scores.characters.rate()}, {kByWords.key, scores.words.rate()}, {"dev_loss", scores.loss}};
}

Scores SpeechTask::score_test() {
  if (corpus_.test.empty()) return {};
  const Decoder decoder(config(), corpus_.symbols);
  const SpeechScores scores =
      score(corpus_.test, recogniser_.transcribe(corpus_.test.examples, decoder), corpus_.symbols.unit());
  return {{"test_cer", scores.characters.rate()}, {"test_wer", scores.words.rate()}};
}

void SpeechTask::save(const std::string& path, const TensorMap& parameters) const {
  save_recogniser(path, recogniser_, corpus_.front_end, parameters);
}

std::string SpeechTask::describe() const {
  return fmt::format("{} train, {} dev, {} test recordings at {} Hz; {} symbols", corpus_.train.size(),
                     corpus_.dev.size(), corpus_.test.size(), config().sample_rate, corpus_.symbols.size() - 1);
}

void SpeechTask::finish(const RunFolder& folder, const TrainingResult& training, nlohmann::json& result) {
  const bool has_test = !corpus_.test.empty();
  const Recordings& test = has_test ? corpus_.test : corpus_.dev;
  SpeechReport report;
  report.title = fmt::format("seqgpu: {} recogniser", config().model);
  report.config = config();
  report.training = training;
  report.measure = measure();
  report.set = has_test ? "test" : "dev";
  if (!test.empty()) {
    const Decoder decoder(config(), corpus_.symbols);
    report.transcriptions = recogniser_.transcribe(test.examples, decoder, true);
    report.scores = score(test, report.transcriptions, corpus_.symbols.unit());
    const std::string prefix = report.set + "_";
    result[prefix + "cer"] = report.scores.characters.rate();
    result[prefix + "wer"] = report.scores.words.rate();
  }
  report.summary = fmt::format("{} parameters, {} symbols; best epoch {}.", parameters().elements(),
                               corpus_.symbols.size() - 1, training.best_epoch);
  write_text(folder.report(), speech_report(report, test, corpus_.symbols, corpus_.front_end));
}

}  // namespace seqgpu::tool
