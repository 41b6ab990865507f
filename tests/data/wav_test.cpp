#include "seqgpu/data/wav.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>

#include "tests/support/temporary_folder.hpp"

namespace seqgpu::data {
namespace {

std::string number(std::uint64_t value, int width) {
  std::string text;
  for (int i = 0; i < width; ++i) text += static_cast<char>(value >> (8 * i));
  return text;
}

std::string chunk(const std::string& tag, const std::string& body) {
  return tag + number(body.size(), 4) + body + std::string(body.size() % 2, '\0');
}

std::string format_chunk(int code, int channels, int rate, int bits) {
  const auto frame = static_cast<std::uint64_t>(channels * bits / 8);
  return chunk("fmt ", number(static_cast<std::uint64_t>(code), 2) + number(static_cast<std::uint64_t>(channels), 2) +
                           number(static_cast<std::uint64_t>(rate), 4) +
                           number(static_cast<std::uint64_t>(rate) * frame, 4) + number(frame, 2) +
                           number(static_cast<std::uint64_t>(bits), 2));
}

std::string riff(const std::string& chunks) { return "RIFF" + number(chunks.size() + 4, 4) + "WAVE" + chunks; }

Waveform parse(const std::string& bytes, const WavOptions& options = {}) {
  return parse_wav(std::as_bytes(std::span(bytes)), "a.wav", options);
}

std::string refusal(const std::string& bytes, const WavOptions& options = {}) {
  try {
    parse(bytes, options);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_file);
    EXPECT_EQ(e.argument(), "a.wav");
    return e.what();
  }
  return "accepted";
}

void expect_refused(const std::string& bytes, const std::string& why, const WavOptions& options = {}) {
  EXPECT_NE(refusal(bytes, options).find(why), std::string::npos) << refusal(bytes, options);
}

TEST(Wav, ReadsEachFormat) {
  using Samples = std::vector<float>;
  const auto samples = [](int code, int bits, const std::string& data) {
    return parse(riff(format_chunk(code, 1, 8000, bits) + chunk("data", data))).samples;
  };
  EXPECT_EQ(samples(1, 8, {'\x00', '\x80', '\xff'}), (Samples{-1.f, 0.f, 127.f / 128}));
  EXPECT_EQ(samples(1, 16, number(0x8000, 2) + number(1, 2) + number(0x7fff, 2)),
            (Samples{-1.f, 1.f / 32768, 32767.f / 32768}));
  EXPECT_EQ(samples(1, 24, number(0x800000, 3) + number(0xffffff, 3) + number(0x400000, 3)),
            (Samples{-1.f, -1.f / 8388608, 0.5f}));
  EXPECT_EQ(samples(1, 32, number(0x80000000u, 4) + number(0x40000000u, 4)), (Samples{-1.f, 0.5f}));
  EXPECT_EQ(samples(3, 32, number(0x3f000000u, 4) + number(0xc0000000u, 4)), (Samples{0.5f, -2.f}));
  EXPECT_EQ(samples(3, 64, number(0xbfe0000000000000u, 8)), (Samples{-0.5f}));
}

TEST(Wav, WritesWhatItReads) {
  Waveform wave{{}, 16000};
  for (int i = -40; i <= 40; ++i) wave.samples.push_back(static_cast<float>(i) / 41.f);  // an odd count: padding
  for (const WavFormat format : {WavFormat::pcm8, WavFormat::pcm16, WavFormat::pcm24, WavFormat::pcm32,
                                 WavFormat::float32, WavFormat::float64}) {
    const auto bytes = format_wav(wave, format);
    EXPECT_EQ(bytes.size() % 2, 0u);
    const Waveform back = parse_wav(bytes, "a.wav");
    EXPECT_EQ(back.sample_rate, 16000);
    ASSERT_EQ(back.samples.size(), wave.samples.size());
    const float half_step = format == WavFormat::pcm8    ? 0x1p-8f
                            : format == WavFormat::pcm16 ? 0x1p-16f
                            : format == WavFormat::pcm24 ? 0x1p-24f
                                                         : 0.f;
    for (std::size_t i = 0; i < back.samples.size(); ++i) {
      EXPECT_NEAR(back.samples[i], wave.samples[i], half_step) << to_string(format) << " " << i;
    }
    EXPECT_EQ(format_wav(back, format), bytes);
  }
}

TEST(Wav, ClipsToTheRangeOfIntegers) {
  const Waveform wave{{1.f, 7.f, -1.5f}, 8000};
  for (const WavFormat format : {WavFormat::pcm8, WavFormat::pcm16, WavFormat::pcm24, WavFormat::pcm32}) {
    const auto back = parse_wav(format_wav(wave, format), "a.wav").samples;
    EXPECT_NEAR(back[0], 1.f, 1.f / 128);
    EXPECT_EQ(back[1], back[0]);
    EXPECT_EQ(back[2], -1.f);
  }
  EXPECT_EQ(parse_wav(format_wav(wave, WavFormat::float32), "a.wav").samples, wave.samples);
}

TEST(Wav, RefusesToWriteWhatNoReaderTakes) {
  EXPECT_THROW(format_wav({{}, 8000}), Error);
  EXPECT_THROW(format_wav({{0.f}, 0}), Error);
  EXPECT_THROW(format_wav({{std::numeric_limits<float>::quiet_NaN()}, 8000}), Error);
}

TEST(Wav, TakesChunksInAnyOrderAndSkipsOthers) {
  const std::string data = chunk("data", number(0x4000, 2)), format = format_chunk(1, 1, 8000, 16);
  const std::vector<float> want = {0.5f};
  EXPECT_EQ(parse(riff(data + format)).samples, want);
  EXPECT_EQ(parse(riff(chunk("LIST", "odd") + format + chunk("fact", "1234") + data + chunk("id3 ", "x"))).samples,
            want);
  EXPECT_EQ(parse(riff(format + data) + "tail").samples, want);
  std::string unpadded = riff(format + data + chunk("LIST", "odd"));
  unpadded.pop_back();
  EXPECT_EQ(parse(unpadded).samples, want);
  std::string wrong_riff_size = riff(format + data);
  wrong_riff_size.replace(4, 4, "\xff\xff\xff\xff");
  EXPECT_EQ(parse(wrong_riff_size).samples, want);
}

std::string extensible(int code, int bits, int valid, const std::string& tail) {
  std::string format = format_chunk(0xfffe, 1, 8000, bits).substr(8);
  format += number(22, 2) + number(static_cast<std::uint64_t>(valid), 2) + number(4, 4) +
            number(static_cast<std::uint64_t>(code), 2) + tail;
  return chunk("fmt ", format);
}

TEST(Wav, ReadsExtensibleHeaders) {
  const std::string tail("\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71", 14);
  const std::string pcm = chunk("data", number(0x400000, 3)), floats = chunk("data", number(0x3f000000u, 4));
  EXPECT_EQ(parse(riff(extensible(1, 24, 20, tail) + pcm)).samples, std::vector<float>{0.5f});
  EXPECT_EQ(parse(riff(extensible(3, 32, 32, tail) + floats)).samples, std::vector<float>{0.5f});
  expect_refused(riff(extensible(7, 24, 24, tail) + pcm), "mu-law");
  expect_refused(riff(extensible(1, 24, 25, tail) + pcm), "valid bits");
  expect_refused(riff(extensible(1, 24, 24, std::string(14, 'x')) + pcm), "sub-format");
  expect_refused(riff(extensible(1, 24, 24, "") + pcm), "cut short");
}

TEST(Wav, TakesTheChannelAskedFor) {
  const std::string stereo =
      riff(format_chunk(1, 2, 8000, 16) +
           chunk("data", number(0x4000, 2) + number(0x2000, 2) + number(0xc000, 2) + number(0xe000, 2)));
  EXPECT_EQ(parse(stereo, {.channel = 0}).samples, (std::vector<float>{0.5f, -0.5f}));
  EXPECT_EQ(parse(stereo, {.channel = 1}).samples, (std::vector<float>{0.25f, -0.25f}));
  expect_refused(stereo, "has 2 channels; mix it down");
  expect_refused(stereo, "none numbered 2", {.channel = 2});
  EXPECT_THROW(parse(stereo, {.channel = -2}), Error);
}

TEST(Wav, HostileFilesAreRefusedByName) {
  const std::string format = format_chunk(1, 1, 8000, 16), data = chunk("data", "abcd");
  expect_refused("", "is empty");
  expect_refused("hello, I am no sound at all", "is no WAV file");
  expect_refused("RIFX" + std::string(40, '\0'), "big-endian");
  expect_refused("RF64" + std::string(40, '\0'), "64-bit");
  expect_refused(riff(data), "no \"fmt \"");
  expect_refused(riff(format), "no \"data\"");
  expect_refused(riff(format + chunk("data", "")), "holds no samples");
  expect_refused(riff(format + chunk("data", "abc")), "no multiple");
  expect_refused(riff(format + format + data), "second");
  expect_refused(riff(format + data + data), "second");
  expect_refused(riff(chunk("fmt ", "short") + data), "of 5 bytes");
  expect_refused(riff(format + "data" + number(0xffffffffu, 4) + "abcd"), "says 4294967295 bytes, of which 4");
  expect_refused(riff("LIST" + number(0xfffffffeu, 4) + format + data), "truncated");
  expect_refused(riff(format_chunk(1, 0, 8000, 16) + data), "no channels");
  expect_refused(riff(format_chunk(1, 1, 0, 16) + data), "0 samples a second");
  expect_refused(riff(format_chunk(1, 1, 8000, 12) + data), "12 bits");
  std::string wrong_frame = format;
  wrong_frame[8 + 12] = 3;
  expect_refused(riff(wrong_frame + data), "says 3 bytes a frame");
  expect_refused(riff(format_chunk(1, 1, 8000, 64) + data), "64 bits");
  expect_refused(riff(format_chunk(3, 1, 8000, 16) + data), "16 bits");
  expect_refused(riff(format_chunk(2, 1, 8000, 16) + data), "ADPCM");
  expect_refused(riff(format + data), "is of 8000 Hz, expected 16000; resample it", {.sample_rate = 16000});
  const std::string floats = number(0, 4) + number(0x7fc00000u, 4);
  expect_refused(riff(format_chunk(3, 1, 8000, 32) + chunk("data", floats)), "sample, number 1");
  expect_refused(riff(format_chunk(3, 1, 8000, 64) + chunk("data", number(0x7fe0000000000000u, 8))), "infinite");
}

TEST(Wav, EveryPrefixIsRefused) {
  const std::string whole = riff(format_chunk(1, 1, 8000, 16) + chunk("data", "abcd"));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_NE(refusal(whole.substr(0, size)), "accepted") << size;
}

TEST(Wav, FilesAndFolders) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "wave.wav";
  const Waveform wave{{0.25f, -0.25f}, 8000};
  write_wav(path, wave);
  EXPECT_EQ(read_wav(path, {.sample_rate = 8000}).samples, wave.samples);
  std::filesystem::remove(path);
  try {
    read_wav(path);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::io_failure);
  }
  EXPECT_THROW(read_wav(folder.path()), Error);
  EXPECT_THROW(write_wav(folder / "no/such/folder.wav", wave), Error);
}

}  // namespace
}  // namespace seqgpu::data
