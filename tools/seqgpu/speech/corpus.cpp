#include "corpus.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <optional>
#include <thread>
#include <utility>

#include "seqgpu/data/audio_file.hpp"
#include "seqgpu/error.hpp"
#include "tools/seqgpu/random.hpp"

namespace seqgpu::tool {
namespace {

// Kaldi's: energies as of 16-bit samples, so that the floor under the logarithm lies below quiet recordings.
constexpr double kSampleScale = 32768;

data::FeatureOptions feature_options(const Config& config) {
  data::FeatureOptions options;
  options.kind = config.features == "mfcc" ? data::FeatureKind::mfcc : data::FeatureKind::filterbank;
  options.sample_rate = static_cast<int>(config.sample_rate);
  options.frame_length_ms = config.frame_ms;
  options.frame_shift_ms = config.shift_ms;
  options.sample_scale = kSampleScale;
  options.mel_bins = static_cast<int>(config.mel_bins);
  options.cepstra = static_cast<int>(config.cepstra);
  options.low_frequency = config.low_frequency;
  options.high_frequency = config.high_frequency;
  return options;
}

data::SpeechReadOptions read_options(const Config& config) {
  data::SpeechReadOptions options;
  options.delta_order = static_cast<int>(config.delta_order);
  options.stack = static_cast<int>(config.stack);
  options.stride = static_cast<int>(config.stride);
  return options;
}

// Of the first sound file that can be read; that others cannot is found, or skipped, when all are.
std::int64_t sample_rate_of(const data::Manifest& manifest) {
  std::string problem = "holds no recording to train on";
  for (const data::Utterance& utterance : manifest.utterances) {
    try {
      return data::read_audio(utterance.path).sample_rate;
    } catch (const Error& error) {
      problem = "has no recording that can be read; the last: " + std::string(error.what());
    }
  }
  throw Error(ErrorCode::invalid_file, "train", manifest.name, problem);
}

// Moves a part of train, chosen by the seed, to dev. Both keep their order.
void hold_back(SpeechCorpus& corpus) {
  Recordings all = std::exchange(corpus.train, {});
  const std::vector<bool> held =
      held_back(all.size(), corpus.config.dev_fraction, static_cast<std::uint64_t>(corpus.config.seed));
  for (std::size_t i = 0; i < held.size(); ++i) {
    Recordings& to = held[i] ? corpus.dev : corpus.train;
    to.utterances.push_back(std::move(all.utterances[i]));
    to.examples.push_back(std::move(all.examples[i]));
  }
}

}  // namespace

FrontEnd::FrontEnd(const Config& config, data::FeatureStatistics statistics)
    : extractor_(feature_options(config)),
      options_(read_options(config)),
      shift_ms_(config.shift_ms),
      statistics_(std::move(statistics)) {}

std::int64_t FrontEnd::width() const {
  return std::int64_t{extractor_.width()} * (options_.delta_order + 1) * options_.stack;
}

FrameLayout FrontEnd::layout() const {
  const std::int64_t bands = extractor_.width();
  return {bands, bands * (options_.delta_order + 1), options_.stack, std::min(options_.stack, options_.stride)};
}

Recordings FrontEnd::read(const std::string& name, std::vector<data::Utterance> utterances,
                          const data::SymbolTable& symbols, data::UnknownSymbols unknown, std::int64_t skip_bad) const {
  data::SpeechReadOptions options = options_;
  options.unknown = unknown;
  std::vector<std::optional<data::SpeechExample>> examples(utterances.size());
  std::vector<std::exception_ptr> failures(utterances.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < utterances.size(); i = next++) {
      try {
        const data::Manifest one{name, {utterances[i]}, 0, {}};
        examples[i] = std::move(data::read_speech(one, extractor_, symbols, options).examples.front());
      } catch (...) {
        failures[i] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> workers;
    for (unsigned i = 1; i < std::thread::hardware_concurrency(); ++i) workers.emplace_back(work);
    work();
  }

  Recordings recordings;
  std::int64_t bad = 0;
  std::string first_bad;
  for (std::size_t i = 0; i < utterances.size(); ++i) {
    if (failures[i]) {
      try {
        std::rethrow_exception(failures[i]);
      } catch (const Error& error) {
        if (bad >= skip_bad) throw;
        if (bad++ == 0) first_bad = error.what();
      }
      continue;
    }
    recordings.utterances.push_back(std::move(utterances[i]));
    recordings.examples.push_back(std::move(*examples[i]));
  }
  if (bad > 0) fmt::print(stderr, "{}: left out {} recordings, the first: {}\n", name, bad, first_bad);
  return recordings;
}

void FrontEnd::measure(const Recordings& recordings) {
  for (const data::SpeechExample& example : recordings.examples) statistics_.add(example.features);
}

void FrontEnd::normalise(Recordings& recordings) const {
  for (data::SpeechExample& example : recordings.examples) statistics_.normalise(example.features);
}

data::Manifest load_manifest(const std::string& path, std::int64_t skip_bad) {
  data::Manifest manifest = data::read_manifest(path, {.skip_bad = skip_bad});
  if (manifest.bad_lines > 0) {
    fmt::print(stderr, "{}: left out {} malformed lines, the first: {}\n", path, manifest.bad_lines,
               manifest.first_bad);
  }
  return manifest;
}

SpeechCorpus load_speech_corpus(const Config& given) {
  data::Manifest train = load_manifest(given.train, given.skip_bad);
  Config config = given;
  if (config.sample_rate == 0) config.sample_rate = sample_rate_of(train);
  const auto unit = config.unit == "words" ? data::TranscriptUnit::words : data::TranscriptUnit::characters;
  SpeechCorpus corpus{config, data::SymbolTable::build(train.utterances, unit), FrontEnd(config, {}), {}, {}, {}};
  if (corpus.symbols.size() < 2) {
    throw Error(ErrorCode::invalid_file, "train", config.train, "has only empty transcripts");
  }
  const auto read = [&](data::Manifest manifest) {
    return corpus.front_end.read(manifest.name, std::move(manifest.utterances), corpus.symbols,
                                 data::UnknownSymbols::refused, config.skip_bad - manifest.bad_lines);
  };
  corpus.train = read(std::move(train));
  if (!config.test.empty()) corpus.test = read(load_manifest(config.test, config.skip_bad));
  if (!config.dev.empty()) {
    corpus.dev = read(load_manifest(config.dev, config.skip_bad));
  } else {
    hold_back(corpus);
  }
  if (corpus.train.empty()) {
    throw Error(ErrorCode::invalid_file, "train", config.train, "holds no recording to train on");
  }
  corpus.front_end.measure(corpus.train);
  for (Recordings* part : {&corpus.train, &corpus.dev, &corpus.test}) corpus.front_end.normalise(*part);
  return corpus;
}

std::string fingerprint(const SpeechCorpus& corpus) {
  Fingerprint hash;
  for (const auto* part : {&corpus.train, &corpus.dev}) {
    for (std::size_t i = 0; i < part->size(); ++i) {
      const auto& bytes = part->examples[i].features.bytes;
      hash.add({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      hash.add(part->utterances[i].transcript);
      hash.add("\n");
    }
    hash.add("\n\n");
  }
  return hash.text();
}

}  // namespace seqgpu::tool
