#include "seqgpu/data/audio_file.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <limits>
#include <random>

#include "data/bytes.hpp"
#include "data/sound_decoder.hpp"
#include "seqgpu/data/speech_batching.hpp"
#include "tests/support/temporary_folder.hpp"

#if SEQGPU_TEST_SNDFILE
#include <sndfile.h>
#endif

namespace seqgpu::data {
namespace {

using namespace std::string_literals;

std::string refusal(const std::string& bytes, const WavOptions& options = {}) {
  try {
    parse_audio(std::as_bytes(std::span(bytes)), "a.sound", options);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_file) << e.what();
    EXPECT_EQ(e.argument(), "a.sound");
    return e.what();
  }
  return "accepted";
}

void expect_refused(const std::string& bytes, const std::string& why, const WavOptions& options = {}) {
  const std::string message = refusal(bytes, options);
  EXPECT_NE(message.find(why), std::string::npos) << message;
}

TEST(AudioFile, WavIsReadByOurOwnReader) {
  const test::TemporaryFolder folder;
  const Waveform wave{{0.5f, -0.25f}, 8000};
  write_wav(folder / "a.flac", wave);  // what a file is called does not matter
  EXPECT_EQ(read_audio(folder / "a.flac").samples, wave.samples);
  expect_refused("", "read_wav: a.sound is empty");
  expect_refused("no sound", "read_wav: a.sound is no WAV file");
  expect_refused("\xff\xfe"s + "U\0T\0F\0"s, "is no WAV file");
  expect_refused("RF64" + std::string(40, '\0'), "64-bit");
  for (const std::string& path : {folder / "none.flac", folder.path(), "/dev/zero"s}) {
    try {
      read_audio(path);
      ADD_FAILURE() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::io_failure);
    }
    EXPECT_THROW(read_wav(path), Error);
  }
}

TEST(AudioFile, WithoutLibsndfileTheErrorNamesTheFix) {
  const SoundDecoder none{nullptr, "libsndfile is missing; install it"};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"fLaC", "FLAC"}, {"OggS", "Ogg"}, {"ID3", "MP3"},  {"\xff\xfb\x90", "MP3"},
      {"FORM", "AIFF"}, {".snd", "AU"},  {"caff", "CAF"},
  };
  for (const auto& [begin, format] : cases) {
    const std::string bytes = begin + std::string(60, '\0');
    try {
      parse_audio_with(none, std::as_bytes(std::span(bytes)), "a.sound", {});
      ADD_FAILURE() << format;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::unsupported);
      EXPECT_EQ(e.argument(), "a.sound");
      const std::string want = "is " + format + ", and libsndfile is missing; install it, or convert the file to WAV";
      EXPECT_NE(std::string(e.what()).find(want), std::string::npos) << e.what();
    }
  }
  const Waveform wave{{0.5f}, 8000};
  EXPECT_EQ(parse_audio_with(none, format_wav(wave), "a.wav", {}).samples, wave.samples);
  if (!reads_compressed_audio()) {
    EXPECT_NE(libsndfile().missing.find("install"), std::string::npos);
  }
}

#if SEQGPU_TEST_SNDFILE

// A file that libsndfile writes, of interleaved samples.
class LibsndfileFiles : public testing::Test {
 protected:
  void SetUp() override {
    if (!reads_compressed_audio()) GTEST_SKIP() << libsndfile().missing;
  }

  std::string written(int format, int channels, const std::vector<float>& samples, int rate = 8000) const {
    const std::string path = folder_ / "written";
    SF_INFO info = {};
    info.samplerate = rate;
    info.channels = channels;
    info.format = format;
    SNDFILE* file = sf_open(path.c_str(), SFM_WRITE, &info);
    EXPECT_NE(file, nullptr) << sf_strerror(nullptr);
    EXPECT_EQ(sf_write_float(file, samples.data(), static_cast<sf_count_t>(samples.size())),
              static_cast<sf_count_t>(samples.size()));
    sf_close(file);
    return read_bytes(path, "test");
  }

  // Multiples of 2^-15, so that 16 bits lose nothing.
  static std::vector<float> tone(int samples) {
    std::vector<float> wave;
    for (int i = 0; i < samples; ++i) wave.push_back(std::nearbyint(9000.f * std::sin(0.2f * float(i))) * 0x1p-15f);
    return wave;
  }

  static Waveform parse(const std::string& bytes, const WavOptions& options = {}) {
    return parse_audio(std::as_bytes(std::span(bytes)), "a.sound", options);
  }

  test::TemporaryFolder folder_;
};

constexpr int kFlac = SF_FORMAT_FLAC | SF_FORMAT_PCM_16;

TEST_F(LibsndfileFiles, LosslessFormatsGiveTheSamplesBack) {
  const auto wave = tone(10'000);  // more than one block
  const std::vector<int> formats = {kFlac,
                                    SF_FORMAT_FLAC | SF_FORMAT_PCM_24,
                                    SF_FORMAT_AIFF | SF_FORMAT_PCM_16,
                                    SF_FORMAT_AU | SF_FORMAT_PCM_16,
                                    SF_FORMAT_AU | SF_FORMAT_FLOAT,
                                    SF_FORMAT_CAF | SF_FORMAT_PCM_32};
  for (const int format : formats) {
    const Waveform back = parse(written(format, 1, wave), {.sample_rate = 8000});
    EXPECT_EQ(back.sample_rate, 8000);
    EXPECT_EQ(back.samples, wave) << std::hex << format;
  }
}

TEST_F(LibsndfileFiles, LossyFormatsComeClose) {
  const auto wave = tone(8000);
  SF_INFO vorbis = {};
  vorbis.samplerate = 8000;
  vorbis.channels = 1;
  vorbis.format = SF_FORMAT_OGG | SF_FORMAT_VORBIS;
  if (sf_format_check(&vorbis) == 0) GTEST_SKIP() << "this libsndfile writes no Ogg";
  const Waveform back = parse(written(vorbis.format, 1, wave));
  ASSERT_EQ(back.samples.size(), wave.size());
  double error = 0, power = 0;
  for (std::size_t i = 0; i < wave.size(); ++i) {
    error += std::pow(double{back.samples[i]} - double{wave[i]}, 2);
    power += std::pow(double{wave[i]}, 2);
  }
  EXPECT_LT(error, 0.01 * power);  // a signal-to-noise ratio of 20 dB: the same sound, not the same numbers
}

TEST_F(LibsndfileFiles, TheChannelAskedForIsTaken) {
  const std::string stereo = written(kFlac, 2, {0.5f, 0.25f, -0.5f, -0.25f});
  EXPECT_EQ(parse(stereo, {.channel = 1}).samples, (std::vector<float>{0.25f, -0.25f}));
  expect_refused(stereo, "has 2 channels; mix it down");
  expect_refused(stereo, "none numbered 2", {.channel = 2});
  EXPECT_THROW(parse(stereo, {.channel = -2}), Error);
}

TEST_F(LibsndfileFiles, HostileOnesAreRefusedByName) {
  const std::string flac = written(kFlac, 1, tone(20'000));
  expect_refused(flac, "is of 8000 Hz, expected 16000; resample it", {.sample_rate = 16000});
  expect_refused(written(SF_FORMAT_AU | SF_FORMAT_FLOAT, 1, {0, std::numeric_limits<float>::quiet_NaN()}),
                 "sample, number 1");
  expect_refused(written(SF_FORMAT_AIFF | SF_FORMAT_PCM_16, 1, {}), "holds no samples");
  expect_refused("fLaC" + std::string(100, 'x'), "cannot be read as FLAC");
}

TEST_F(LibsndfileFiles, TruncatedOnesAreRefused) {
  const std::vector<int> formats = {kFlac, SF_FORMAT_AIFF | SF_FORMAT_PCM_16, SF_FORMAT_AU | SF_FORMAT_PCM_16,
                                    SF_FORMAT_CAF | SF_FORMAT_PCM_16, SF_FORMAT_OGG | SF_FORMAT_VORBIS};
  for (const int format : formats) {
    const std::string whole = written(format, 1, tone(20'000));
    for (std::size_t i = 0; i < 40; ++i) {
      const std::size_t size = 4 + i * (whole.size() - 4) / 40;
      EXPECT_NE(refusal(whole.substr(0, size)), "accepted") << std::hex << format << std::dec << " " << size;
    }
  }
}

// The bytes in front of any of these formats decide what libsndfile makes of the rest.
TEST_F(LibsndfileFiles, AnyBytesGiveSoundOrAnError) {
  std::mt19937 random(1);
  for (const int format : {kFlac, SF_FORMAT_AIFF | SF_FORMAT_PCM_16, SF_FORMAT_AU | SF_FORMAT_FLOAT}) {
    const std::string whole = written(format, 1, tone(300));
    for (int i = 0; i < 200; ++i) {
      std::string bytes = whole;
      for (int edits = 0; edits < 3; ++edits) bytes[4 + random() % (bytes.size() - 4)] = static_cast<char>(random());
      try {
        for (const float sample : parse(bytes, {.channel = 0}).samples) ASSERT_TRUE(std::isfinite(sample));
      } catch (const Error& e) {
        ASSERT_EQ(e.code(), ErrorCode::invalid_file) << e.what();
      }
    }
  }
}

TEST_F(LibsndfileFiles, AreReadFromManifests) {
  std::ofstream(folder_ / "a.flac", std::ios::binary) << written(kFlac, 1, tone(800));
  const Manifest manifest = parse_manifest("a.flac\ta\nmissing.flac\ta\n", "set.tsv", folder_.path());
  const auto symbols = SymbolTable::build(manifest.utterances, TranscriptUnit::words);
  FeatureOptions options;
  options.sample_rate = 8000;
  const SpeechSet speech = read_speech(manifest, FeatureExtractor(options), symbols, {.skip_bad = 1});
  ASSERT_EQ(speech.examples.size(), 1u);
  EXPECT_EQ(speech.examples[0].features.shape, (Shape{8, 23}));
  EXPECT_NE(speech.first_bad.find("set.tsv:2"), std::string::npos) << speech.first_bad;
}

#endif

}  // namespace
}  // namespace seqgpu::data
