#include "seqgpu/data/speech_batching.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "data/bytes.hpp"
#include "tests/support/temporary_folder.hpp"

namespace seqgpu::data {
namespace {

using Ints = std::vector<std::int32_t>;

Ints ints(const HostTensor& tensor) {
  const auto view = tensor.view<std::int32_t>();
  return {view.begin(), view.end()};
}

// Example i has frames[i] frames of F = 2, of the values 100*i + t and minus that.
std::vector<SpeechExample> examples(const std::vector<int>& frames) {
  std::vector<SpeechExample> out;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    SpeechExample example;
    example.features = HostTensor(DType::f32, {frames[i], 2});
    for (int t = 0; t < frames[i]; ++t) {
      const auto value = static_cast<float>(100 * static_cast<int>(i) + t + 1);
      example.features.view<float>()[static_cast<std::size_t>(2 * t)] = value;
      example.features.view<float>()[static_cast<std::size_t>(2 * t + 1)] = -value;
    }
    example.labels.assign(i % 4, static_cast<std::int32_t>(i + 1));
    out.push_back(std::move(example));
  }
  return out;
}

TEST(SpeechBatching, LeastFramesCountTheBlankBetweenRepeats) {
  EXPECT_EQ(least_frames(Ints{}), 0);
  EXPECT_EQ(least_frames(Ints{1, 2, 1}), 3);
  EXPECT_EQ(least_frames(Ints{1, 1, 2, 2, 2}), 8);
}

TEST(SpeechBatching, PadsFeaturesAndTargets) {
  const auto set = examples({3, 1, 2, 5});
  SpeechBatchOptions options;
  options.frame_multiple = 4;
  const std::vector<int> columns = {2, -1, 1};
  const SpeechBatch batch = make_speech_batch(set, columns, options, 0);
  EXPECT_EQ(batch.features.shape, (Shape{4, 3, 2}));
  const std::vector<float> want = {201, -201, 0, 0, 101, -101, 202, -202, 0, 0, 0, 0,
                                   0,   0,    0, 0, 0,   0,    0,   0,    0, 0, 0, 0};
  const auto got = batch.features.view<float>();
  EXPECT_EQ(std::vector<float>(got.begin(), got.end()), want);
  EXPECT_EQ(ints(batch.lengths), (Ints{2, 0, 1}));
  EXPECT_EQ(batch.targets.shape, (Shape{3, 2}));
  EXPECT_EQ(ints(batch.targets), (Ints{3, 3, 0, 0, 2, 0}));
  EXPECT_EQ(ints(batch.target_lengths), (Ints{2, 0, 1}));
  EXPECT_EQ(batch.example_index, columns);
}

TEST(SpeechBatching, EachExampleIsInOneBatchOfLikeLength) {
  std::vector<int> frames;
  for (int i = 0; i < 37; ++i) frames.push_back(1 + (i * 29) % 60);
  const auto set = examples(frames);
  SpeechBatchOptions options;
  options.batch_size = 5;
  options.full_batches = true;
  const auto batches = make_speech_batches(set, options, 3);
  ASSERT_EQ(batches.size(), 8u);
  std::vector<int> seen;
  std::int64_t padded = 0, filled = 0;
  for (const SpeechBatch& batch : batches) {
    EXPECT_EQ(batch.features.shape[1], 5);
    padded += 5 * batch.features.shape[0];
    for (const int index : batch.example_index) {
      if (index < 0) continue;
      seen.push_back(index);
      filled += frames[static_cast<std::size_t>(index)];
    }
  }
  std::sort(seen.begin(), seen.end());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], static_cast<int>(i));
  EXPECT_EQ(seen.size(), set.size());
  EXPECT_LT(padded, filled * 13 / 10);
}

TEST(SpeechBatching, BatchFramesBoundTheSizeOfABatch) {
  std::vector<int> frames;
  for (int i = 0; i < 37; ++i) frames.push_back(1 + (i * 29) % 60);
  const auto set = examples(frames);
  SpeechBatchOptions options;
  options.batch_size = 8;
  options.batch_frames = 160;
  options.frame_multiple = 4;
  std::size_t seen = 0, most = 0;
  for (const std::vector<int>& columns : plan_speech_batches(set, options, 3)) {
    const SpeechBatch batch = make_speech_batch(set, columns, options, 3);
    EXPECT_LE(batch.features.shape[0] * batch.features.shape[1], 160);
    seen += columns.size();
    most = std::max(most, columns.size());
  }
  EXPECT_EQ(seen, set.size());
  EXPECT_EQ(most, 8u);
  options.full_batches = true;  // N is then a function of T
  for (const SpeechBatch& batch : make_speech_batches(set, options, 3)) {
    EXPECT_EQ(batch.features.shape[1], std::min<std::int64_t>(8, 160 / batch.features.shape[0]));
  }
  options.batch_frames = 1;
  EXPECT_EQ(plan_speech_batches(set, options, 3).size(), set.size());
}

TEST(SpeechBatching, EpochsDifferAndRepeat) {
  const auto set = examples(std::vector<int>(20, 4));
  SpeechBatchOptions options;
  options.batch_size = 4;
  EXPECT_EQ(plan_speech_batches(set, options, 1), plan_speech_batches(set, options, 1));
  EXPECT_NE(plan_speech_batches(set, options, 1), plan_speech_batches(set, options, 2));
  options.shuffle = false;
  EXPECT_EQ(plan_speech_batches(set, options, 1)[1], (std::vector<int>{4, 5, 6, 7}));
  EXPECT_TRUE(plan_speech_batches({}, options, 1).empty());
}

TEST(SpeechBatching, AugmentsByEpochAndExampleNotByBatch) {
  const auto set = examples({40, 40});
  SpeechBatchOptions options;
  options.augment = SpecAugmentOptions{};
  options.augment->max_frequency = 1;
  const std::vector<int> alone = {1}, both = {0, 1};
  const auto column = [&](const std::vector<int>& columns, std::uint64_t epoch) {
    const SpeechBatch batch = make_speech_batch(set, columns, options, epoch);
    std::vector<float> out;
    for (std::size_t t = 0; t < 40; ++t)
      out.push_back(batch.features.view<float>()[((t + 1) * columns.size() - 1) * 2]);
    return out;
  };
  EXPECT_EQ(column(alone, 1), column(both, 1));
  EXPECT_NE(column(alone, 1), column(alone, 2));
}

TEST(SpeechBatching, RefusesWhatMakesNoSense) {
  auto set = examples({3, 4});
  SpeechBatchOptions options;
  const std::vector<int> none, beyond = {2}, both = {0, 1};
  EXPECT_THROW(make_speech_batch(set, none, options, 0), Error);
  EXPECT_THROW(make_speech_batch(set, beyond, options, 0), Error);
  set[1].features = HostTensor(DType::f32, {4, 3});
  EXPECT_THROW(make_speech_batch(set, both, options, 0), Error);
  options.batch_size = 0;
  EXPECT_THROW(plan_speech_batches(set, options, 0), Error);
}

// A folder with good.wav (0.1 s at 8 kHz), and one file for each thing that can be wrong with sound.
class SpeechFiles : public testing::Test {
 protected:
  void SetUp() override {
    write("good", 8000, 800);
    write("rate", 16000, 1600);
    write("short", 8000, 100);
    write_text("text", "no sound");
    write_text("empty", "");
    const std::string good = read_bytes(folder_ / "good.wav", "test");
    write_text("truncated", good.substr(0, good.size() / 2));
    write_text("silent", changed(good.substr(0, 44), 40, 4, 0));  // no samples at all
    write_text("stereo", changed(changed(good, 22, 2, 2), 32, 2, 4));
    const Waveform wave{{0.5f, 0.25f, 0.125f}, 8000};
    write_wav(folder_ / "nan.wav", wave, WavFormat::float32);
    write_text("nan", changed(read_bytes(folder_ / "nan.wav", "test"), 48, 4, 0x7fc00000));
  }

  void write_text(const std::string& name, const std::string& bytes) const {
    std::ofstream(folder_ / (name + ".wav"), std::ios::binary) << bytes;
  }

  // A little-endian number of so many bytes put at an offset: 22 channels, 32 bytes a frame, 40 those of the samples.
  static std::string changed(std::string bytes, std::size_t at, std::size_t width, std::uint32_t value) {
    for (std::size_t i = 0; i < width; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
    return bytes;
  }

  void write(const std::string& name, int rate, int samples) const {
    Waveform wave{{}, rate};
    for (int i = 0; i < samples; ++i) wave.samples.push_back(static_cast<float>(0.3 * std::sin(0.2 * i)));
    write_wav(folder_ / (name + ".wav"), wave);
  }

  Manifest manifest(const std::string& text) const { return parse_manifest(text, "set.tsv", folder_.path()); }

  test::TemporaryFolder folder_;
};

FeatureOptions telephone() {
  FeatureOptions options;
  options.sample_rate = 8000;
  return options;
}

TEST_F(SpeechFiles, AreReadWithFeaturesAndLabels) {
  const Manifest set = manifest("# two\ngood.wav\ta b\ngood.wav\t\n");
  const auto symbols = SymbolTable::build(set.utterances, TranscriptUnit::words);
  const SpeechSet speech = read_speech(set, FeatureExtractor(telephone()), symbols, {.delta_order = 2});
  ASSERT_EQ(speech.examples.size(), 2u);
  EXPECT_EQ(speech.examples[0].features.shape, (Shape{8, 69}));
  EXPECT_EQ(speech.examples[0].labels, (Ints{1, 2}));
  EXPECT_EQ(speech.examples[0].source, "set.tsv:2");
  EXPECT_TRUE(speech.examples[1].labels.empty());
}

TEST_F(SpeechFiles, ThatCannotBeUsedAreNamedByLine) {
  const Manifest good = manifest("good.wav\ta b\n");
  const auto symbols = SymbolTable::build(good.utterances, TranscriptUnit::words);
  const FeatureExtractor extractor(telephone());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"rate.wav\ta", "is of 16000 Hz, expected 8000"},
      {"text.wav\ta", "is no WAV file"},
      {"short.wav\ta", "gives 0 frames"},
      {"empty.wav\ta", "empty.wav is empty"},
      {"silent.wav\ta", "holds no samples"},
      {"truncated.wav\ta", "is truncated: the chunk at byte 36 says 1600 bytes, of which 778 are there"},
      {"stereo.wav\ta", "has 2 channels; mix it down to one"},
      {"nan.wav\ta", "has a NaN or infinite sample, number 1"},
      {"none.wav\ta", "cannot be opened"},
      {"good.wav\ta c", "holds \"c\", unit 2"},
      {"good.wav\ta a a a a", "gives 8 frames, but its transcript of 5 symbols needs at least 9"},
  };
  std::string all = "good.wav\ta\n";
  for (const auto& [line, why] : cases) {
    all += line + "\n";
    try {
      read_speech(manifest("good.wav\tb\n" + line), extractor, symbols);
      ADD_FAILURE() << line;
    } catch (const Error& e) {
      EXPECT_EQ(e.argument(), "set.tsv:2");
      EXPECT_EQ(e.code(), why == "cannot be opened" ? ErrorCode::io_failure : ErrorCode::invalid_file);
      EXPECT_NE(std::string(e.what()).find(why), std::string::npos) << e.what();
    }
  }
  const SpeechSet speech = read_speech(manifest(all), extractor, symbols, {.skip_bad = 11});
  EXPECT_EQ(speech.examples.size(), 1u);
  EXPECT_EQ(speech.bad_utterances, 11);
  EXPECT_NE(speech.first_bad.find("set.tsv:2"), std::string::npos);
  EXPECT_THROW(read_speech(manifest(all), extractor, symbols, {.skip_bad = 10}), Error);
  const SpeechSet aside =
      read_speech(manifest("good.wav\tc a c\n"), extractor, symbols, {.unknown = UnknownSymbols::set_aside});
  EXPECT_EQ(aside.examples.front().labels, Ints{1});
  EXPECT_EQ(aside.examples.front().unknown, (std::vector<std::string>{"c", "c"}));
  try {  // an option at fault is no fault of the files
    read_speech(good, extractor, symbols, {.delta_order = 9, .skip_bad = 100});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
  }
}

}  // namespace
}  // namespace seqgpu::data
