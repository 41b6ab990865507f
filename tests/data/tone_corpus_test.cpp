#include "seqgpu/data/tone_corpus.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <complex>
#include <numbers>
#include <set>

#include "seqgpu/data/speech_batching.hpp"
#include "tests/support/temporary_folder.hpp"

namespace seqgpu::data {
namespace {

ToneCorpusOptions small() {
  ToneCorpusOptions options;
  options.train_utterances = 6;
  options.test_utterances = 3;
  return options;
}

double power_at(const Waveform& wave, const ToneSpan& span, double hertz) {
  std::complex<double> sum = 0;
  for (std::int64_t s = span.first; s < span.last; ++s) {
    const double phase = 2 * std::numbers::pi * hertz * static_cast<double>(s) / wave.sample_rate;
    sum += double{wave.samples[static_cast<std::size_t>(s)]} * std::polar(1.0, -phase);
  }
  return std::norm(sum);
}

TEST(ToneCorpus, LettersDiffer) {
  std::set<std::pair<double, double>> pairs;
  for (int letter = 0; letter < 16; ++letter) pairs.insert({tones_of(letter).low, tones_of(letter).high});
  EXPECT_EQ(pairs.size(), 16u);
  EXPECT_THROW(tones_of(16), Error);
  EXPECT_THROW(tones_of(-1), Error);
}

// Without noise and detuning each letter can be told by the power at its tones.
TEST(ToneCorpus, SoundsAsItIsSpelt) {
  ToneCorpusOptions options;
  options.letters = 16;
  options.overlap = 0;
  options.pitch_spread = 0;
  options.snr_db = 100;
  for (std::uint64_t index = 0; index < 5; ++index) {
    const ToneUtterance said = tone_utterance(options, index);
    ASSERT_EQ(said.spans.size(), said.transcript.size());
    for (std::size_t i = 0; i < said.spans.size(); ++i) {
      std::vector<double> powers;
      for (int letter = 0; letter < 16; ++letter) {
        const TonePair pair = tones_of(letter);
        powers.push_back(
            std::min(power_at(said.wave, said.spans[i], pair.low), power_at(said.wave, said.spans[i], pair.high)));
      }
      EXPECT_EQ(std::max_element(powers.begin(), powers.end()) - powers.begin(), said.transcript[i] - 'a');
    }
  }
}

TEST(ToneCorpus, KeepsToItsOptions) {
  ToneCorpusOptions options;
  options.letters = 3;
  bool overlaps = false, repeats = false;
  for (std::uint64_t index = 0; index < 40; ++index) {
    const ToneUtterance said = tone_utterance(options, index);
    EXPECT_GE(said.transcript.size(), 3u);
    EXPECT_LE(said.transcript.size(), 9u);
    EXPECT_EQ(said.transcript.find_first_not_of("abc"), std::string::npos);
    EXPECT_EQ(said.wave.sample_rate, 8000);
    for (std::size_t i = 0; i < said.spans.size(); ++i) {
      const ToneSpan& span = said.spans[i];
      EXPECT_GE(span.last - span.first, 640);   // 120 ms by two thirds
      EXPECT_LE(span.last - span.first, 1280);  // and four thirds
      EXPECT_LT(span.last, static_cast<std::int64_t>(said.wave.samples.size()));
      if (i == 0) continue;
      overlaps |= span.first < said.spans[i - 1].last;
      EXPECT_GE(span.first - said.spans[i - 1].last, -384);  // 0.3 of the longest
      if (said.transcript[i] != said.transcript[i - 1]) continue;
      repeats = true;
      EXPECT_GE(span.first - said.spans[i - 1].last, 240);
    }
    const auto loud = [](float x) { return std::abs(x) > 1.f; };
    EXPECT_LE(std::count_if(said.wave.samples.begin(), said.wave.samples.end(), loud),
              static_cast<std::ptrdiff_t>(said.wave.samples.size() / 1000));  // next to nothing is clipped
  }
  EXPECT_TRUE(overlaps);
  EXPECT_TRUE(repeats);
}

TEST(ToneCorpus, NoiseHasThePowerAskedFor) {
  ToneCorpusOptions options;
  options.snr_db = 6;
  const ToneUtterance said = tone_utterance(options, 0);
  double power = 0;
  for (std::int64_t s = 0; s < said.spans[0].first; ++s) {
    power += std::pow(double{said.wave.samples[static_cast<std::size_t>(s)]}, 2);
  }
  power /= static_cast<double>(said.spans[0].first);
  EXPECT_NEAR(10 * std::log10(0.04 / power), 6, 1.5);  // 480 samples: the deviation of the estimate is 0.3 dB
}

TEST(ToneCorpus, DependsOnSeedAndIndexAlone) {
  ToneCorpusOptions options;
  const ToneUtterance said = tone_utterance(options, 7);
  EXPECT_EQ(tone_utterance(options, 7).wave.samples, said.wave.samples);
  EXPECT_NE(tone_utterance(options, 8).wave.samples, said.wave.samples);
  options.seed = 2;
  EXPECT_NE(tone_utterance(options, 7).wave.samples, said.wave.samples);
}

TEST(ToneCorpus, WritesFilesThatTheReadersTake) {
  const test::TemporaryFolder folder;
  const ToneCorpusFiles files = write_tone_corpus(folder.path(), small());
  const Manifest train = read_manifest(files.train_manifest), test = read_manifest(files.test_manifest);
  EXPECT_EQ(train.utterances.size(), 6u);
  EXPECT_EQ(test.utterances.size(), 3u);
  FeatureOptions features;
  features.sample_rate = 8000;
  std::vector<Utterance> both = train.utterances;
  both.insert(both.end(), test.utterances.begin(), test.utterances.end());
  const auto symbols = SymbolTable::build(both, TranscriptUnit::characters);
  const FeatureExtractor extractor(features);
  EXPECT_EQ(read_speech(train, extractor, symbols).examples.size(), 6u);
  EXPECT_EQ(read_speech(test, extractor, symbols).examples.size(), 3u);
  const Waveform first = read_wav(train.utterances[0].path), made = tone_utterance(small(), 0).wave;
  ASSERT_EQ(first.samples.size(), made.samples.size());
  for (std::size_t i = 0; i < first.samples.size(); ++i) {
    EXPECT_NEAR(first.samples[i], std::clamp(made.samples[i], -1.f, 32767.f / 32768), 0x1p-16f);
  }
  EXPECT_NE(train.utterances[0].transcript, test.utterances[0].transcript);
}

TEST(ToneCorpus, RefusesWhatMakesNoSense) {
  const auto refused = [](auto change) {
    ToneCorpusOptions options;
    change(options);
    try {
      tone_utterance(options, 0);
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      return e.argument();
    }
    return std::string("accepted");
  };
  EXPECT_EQ(refused([](auto& o) { o.letters = 1; }), "letters");
  EXPECT_EQ(refused([](auto& o) { o.letters = 17; }), "letters");
  EXPECT_EQ(refused([](auto& o) { o.shortest = 0; }), "shortest");
  EXPECT_EQ(refused([](auto& o) { o.longest = 2; }), "longest");
  EXPECT_EQ(refused([](auto& o) { o.sample_rate = 4000; }), "sample_rate");
  EXPECT_EQ(refused([](auto& o) { o.overlap = 0.9; }), "overlap");
  EXPECT_EQ(refused([](auto& o) { o.snr_db = std::nan(""); }), "snr_db");
  try {
    write_tone_corpus("/dev/null/corpus", small());
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::io_failure);
  }
}

}  // namespace
}  // namespace seqgpu::data
