#include "seqgpu/data/tone_corpus.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <numbers>
#include <system_error>

#include "data/random.hpp"
#include "seqgpu/data/manifest.hpp"

namespace seqgpu::data {

namespace {

constexpr double kPi = std::numbers::pi;
constexpr int kMostLetters = 16;
constexpr std::uint64_t kFirstTestIndex = std::uint64_t{1} << 32;

// In Hz, about evenly spaced in mel within each set.
constexpr double kLow[] = {420, 560, 725, 920};
constexpr double kHigh[] = {1330, 1690, 2120, 2640};

constexpr double kRampMs = 8;       // a sudden start would be a click, in every band
constexpr double kMarginMs = 60;    // before the first letter and after the last
constexpr double kLeastGapMs = 30;  // between equal letters, which would otherwise merge into one
constexpr double kMostGapMs = 80;
constexpr double kLoudness = 0.2;  // mean amplitude of one tone; two letters at once stay below 1

[[noreturn]] void fail(const char* argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "tone_corpus", argument, detail);
}

void check_range(const char* argument, double value, double low, double high) {
  if (!(value >= low && value <= high)) {
    fail(argument,
         "must be from " + std::to_string(low) + " to " + std::to_string(high) + ", got " + std::to_string(value));
  }
}

void check(const ToneCorpusOptions& o) {
  check_range("train_utterances", o.train_utterances, 0, 99'999);
  check_range("test_utterances", o.test_utterances, 0, 99'999);
  check_range("letters", o.letters, 2, kMostLetters);
  check_range("shortest", o.shortest, 1, 1000);
  check_range("longest", o.longest, o.shortest, 1000);
  check_range("sample_rate", o.sample_rate, 8000, 96'000);
  check_range("letter_ms", o.letter_ms, 20, 1000);
  check_range("overlap", o.overlap, 0, 0.5);
  check_range("pitch_spread", o.pitch_spread, 0, 0.1);
  check_range("snr_db", o.snr_db, -20, 100);
}

class Singer {
 public:
  Singer(const ToneCorpusOptions& options, std::uint64_t index)
      : options_(options), random_(mix(options.seed, index)) {}

  ToneUtterance sing() {
    choose_letters();
    place_letters();
    out_.wave.sample_rate = options_.sample_rate;
    out_.wave.samples.resize(static_cast<std::size_t>(out_.spans.back().last + samples(kMarginMs)));
    for (std::size_t i = 0; i < letters_.size(); ++i) add_letter(letters_[i], out_.spans[i]);
    add_noise();
    return std::move(out_);
  }

 private:
  double between(double low, double high) { return low + (high - low) * unit(random_.next()); }
  std::int64_t samples(double ms) const { return std::llround(ms * 0.001 * options_.sample_rate); }

  void choose_letters() {
    const auto shortest = static_cast<std::size_t>(options_.shortest);
    const std::size_t spread = static_cast<std::size_t>(options_.longest) - shortest + 1;
    letters_.resize(shortest + random_.below(spread));
    for (int& letter : letters_) {
      letter = static_cast<int>(random_.below(static_cast<std::size_t>(options_.letters)));
      out_.transcript += static_cast<char>('a' + letter);
    }
  }

  void place_letters() {
    std::int64_t at = samples(kMarginMs);
    for (std::size_t i = 0; i < letters_.size(); ++i) {
      const std::int64_t length = samples(options_.letter_ms * between(2.0 / 3, 4.0 / 3));
      if (i > 0) {
        const ToneSpan& before = out_.spans.back();
        const auto shorter = static_cast<double>(std::min(length, before.last - before.first));
        at = before.last + (letters_[i] == letters_[i - 1] ? samples(between(kLeastGapMs, kMostGapMs))
                                                           : -std::llround(shorter * between(0, options_.overlap)));
      }
      out_.spans.push_back({at, at + length});
    }
  }

  void add_letter(int letter, const ToneSpan& span) {
    const TonePair pair = tones_of(letter);
    const auto length = static_cast<double>(span.last - span.first);
    const double ramp = std::min(static_cast<double>(samples(kRampMs)), length / 2);
    const double loudness = kLoudness * between(0.6, 1.4);
    for (const double tuned : {pair.low, pair.high}) {
      const double hertz = tuned * (1 + options_.pitch_spread * between(-1, 1));
      const double phase = between(0, 2 * kPi);
      for (std::int64_t s = span.first; s < span.last; ++s) {
        const auto t = static_cast<double>(s - span.first);
        const double edge = std::min({1.0, (t + 1) / ramp, (length - t) / ramp});
        const double tone = std::sin(phase + 2 * kPi * hertz * t / options_.sample_rate);
        out_.wave.samples[static_cast<std::size_t>(s)] += static_cast<float>(loudness * edge * tone);
      }
    }
  }

  // White and Gaussian (Box and Muller). The power of a letter's two tones is twice half the squared amplitude.
  void add_noise() {
    const double deviation = kLoudness * std::pow(10.0, -options_.snr_db / 20);
    for (float& sample : out_.wave.samples) {
      const double radius = std::sqrt(-2 * std::log(1 - unit(random_.next())));
      sample += static_cast<float>(deviation * radius * std::cos(2 * kPi * unit(random_.next())));
    }
  }

  ToneCorpusOptions options_;
  Random random_;
  std::vector<int> letters_;
  ToneUtterance out_;
};

std::string write_part(const std::string& folder, const std::string& part, int count, std::uint64_t first,
                       const ToneCorpusOptions& options) {
  const std::filesystem::path root(folder);
  std::error_code failure;
  std::filesystem::create_directories(root / part, failure);
  if (failure) {
    throw Error(ErrorCode::io_failure, "write_tone_corpus", (root / part).string(),
                "cannot be created: " + failure.message());
  }
  std::vector<Utterance> manifest;
  for (int i = 0; i < count; ++i) {
    const ToneUtterance utterance = tone_utterance(options, first + static_cast<std::uint64_t>(i));
    char name[16];
    std::snprintf(name, sizeof name, "%05d.wav", i);
    write_wav((root / part / name).string(), utterance.wave);
    manifest.push_back({part + "/" + name, utterance.transcript, 0});
  }
  std::string path = (root / (part + ".tsv")).string();
  write_manifest(path, manifest);
  return path;
}

}  // namespace

TonePair tones_of(int letter) {
  if (letter < 0 || letter >= kMostLetters) fail("letter", "must be from 0 to 15, got " + std::to_string(letter));
  // Along the diagonals, so that a few letters already use every tone.
  return {kLow[letter % 4], kHigh[(letter + letter / 4) % 4]};
}

ToneUtterance tone_utterance(const ToneCorpusOptions& options, std::uint64_t index) {
  check(options);
  return Singer(options, index).sing();
}

ToneCorpusFiles write_tone_corpus(const std::string& folder, const ToneCorpusOptions& options) {
  check(options);
  return {write_part(folder, "train", options.train_utterances, 0, options),
          write_part(folder, "test", options.test_utterances, kFirstTestIndex, options)};
}

}  // namespace seqgpu::data
