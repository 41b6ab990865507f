#include "seqgpu/data/wav.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <type_traits>

#include "data/bytes.hpp"
#include "data/wave_options.hpp"

namespace seqgpu::data {

namespace {

using Bytes = std::span<const std::byte>;

constexpr unsigned kPcm = 1, kFloat = 3, kExtensible = 0xfffe;
constexpr std::size_t kFormatBytes = 16, kExtensibleBytes = 40;

// What follows the format code in the sub-format of WAVE_FORMAT_EXTENSIBLE (KSDATAFORMAT_SUBTYPE_*).
constexpr std::array<unsigned char, 14> kSubtypeTail = {0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x80,
                                                        0x00, 0x00, 0xaa, 0x00, 0x38, 0x9b, 0x71};

std::uint64_t little_endian(Bytes bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::to_integer<std::uint64_t>(bytes[i]) << (8 * i);
  return value;
}

unsigned u16(Bytes bytes, std::size_t at) { return static_cast<unsigned>(little_endian(bytes.subspan(at, 2))); }
std::uint32_t u32(Bytes bytes, std::size_t at) {
  return static_cast<std::uint32_t>(little_endian(bytes.subspan(at, 4)));
}

bool has_tag(Bytes bytes, std::size_t at, std::string_view tag) {
  return std::memcmp(bytes.data() + at, tag.data(), tag.size()) == 0;
}

std::string codec_name(unsigned code) {
  switch (code) {
    case 2: return " (Microsoft ADPCM)";
    case 6: return " (A-law)";
    case 7: return " (mu-law)";
    case 0x11: return " (IMA ADPCM)";
    case 0x31: return " (GSM 6.10)";
    case 0x55: return " (MP3)";
    default: return "";
  }
}

struct Layout {
  unsigned code = 0, channels = 0, bits = 0;
  std::uint32_t rate = 0;
  std::size_t frame_bytes() const { return std::size_t{channels} * (bits / 8); }
};

class Parser {
 public:
  Parser(Bytes bytes, std::string name, const WavOptions& options)
      : bytes_(bytes), name_(std::move(name)), options_(options) {}

  Waveform run() {
    find_chunks();
    if (!format_) fail("has no \"fmt \" chunk");
    if (!data_) fail("has no \"data\" chunk");
    const Layout layout = read_layout(*format_);
    if (const std::string why = wave_refusal(layout.channels, layout.rate, options_); !why.empty()) fail(why);
    if (data_->empty()) fail("holds no samples");
    if (data_->size() % layout.frame_bytes() != 0) {
      fail("has a data chunk of " + std::to_string(data_->size()) + " bytes, which is no multiple of the " +
           std::to_string(layout.frame_bytes()) + " of a frame; is it truncated?");
    }
    return read_samples(layout);
  }

 private:
  [[noreturn]] void fail(const std::string& detail) const {
    throw Error(ErrorCode::invalid_file, "read_wav", name_, detail);
  }

  void find_chunks() {
    if (bytes_.empty()) fail("is empty");
    if (bytes_.size() >= 4 && has_tag(bytes_, 0, "RIFX")) fail("is big-endian (RIFX); convert it to RIFF");
    if (bytes_.size() >= 4 && has_tag(bytes_, 0, "RF64")) fail("is of the 64-bit form (RF64); split it");
    if (bytes_.size() < 12 || !has_tag(bytes_, 0, "RIFF") || !has_tag(bytes_, 8, "WAVE")) {
      fail("is no WAV file: it does not begin with RIFF, a size and WAVE");
    }
    // Fewer than 8 bytes at the end are padding that some writers leave.
    for (std::size_t at = 12; bytes_.size() - at >= 8;) {
      const std::size_t size = u32(bytes_, at + 4), rest = bytes_.size() - at - 8;
      if (size > rest) {
        fail("is truncated: the chunk at byte " + std::to_string(at) + " says " + std::to_string(size) +
             " bytes, of which " + std::to_string(rest) + " are there");
      }
      if (has_tag(bytes_, at, "fmt ")) take(format_, at, size);
      if (has_tag(bytes_, at, "data")) take(data_, at, size);
      at += 8 + std::min(size + size % 2, rest);  // chunks are padded to an even size; some writers forget at the end
    }
  }

  void take(std::optional<Bytes>& chunk, std::size_t at, std::size_t size) const {
    if (chunk) fail("has a second \"fmt \" or \"data\" chunk at byte " + std::to_string(at));
    chunk = bytes_.subspan(at + 8, size);
  }

  Layout read_layout(Bytes chunk) const {
    if (chunk.size() < kFormatBytes) fail("has a \"fmt \" chunk of " + std::to_string(chunk.size()) + " bytes, not 16");
    Layout layout{u16(chunk, 0), u16(chunk, 2), u16(chunk, 14), u32(chunk, 4)};
    if (layout.code == kExtensible) {
      if (chunk.size() < kExtensibleBytes) fail("has a WAVE_FORMAT_EXTENSIBLE header that is cut short");
      if (std::memcmp(chunk.data() + 26, kSubtypeTail.data(), kSubtypeTail.size()) != 0) {
        fail("has an extensible sub-format that is neither PCM nor float");
      }
      layout.code = u16(chunk, 24);
      // Fewer valid bits sit in the upper bits of the container, so the scale does not change.
      if (u16(chunk, 18) > layout.bits) fail("says more valid bits than a sample holds");
    }
    if (layout.code != kPcm && layout.code != kFloat) {
      fail("is of format " + std::to_string(layout.code) + codec_name(layout.code) + "; convert it to 16-bit PCM");
    }
    const unsigned bits = layout.bits;
    const bool known =
        layout.code == kPcm ? bits == 8 || bits == 16 || bits == 24 || bits == 32 : bits == 32 || bits == 64;
    if (!known) {
      fail("has samples of " + std::to_string(bits) + " bits; expected " +
           (layout.code == kPcm ? "integers of 8, 16, 24 or 32" : "floats of 32 or 64"));
    }
    if (u16(chunk, 12) != layout.frame_bytes()) {
      fail("says " + std::to_string(u16(chunk, 12)) + " bytes a frame, but " + std::to_string(layout.channels) +
           " channels of " + std::to_string(bits) + " bits need " + std::to_string(layout.frame_bytes()));
    }
    return layout;
  }

  Waveform read_samples(const Layout& layout) const {
    const std::size_t stride = layout.frame_bytes(), width = layout.bits / 8;
    const std::size_t first = static_cast<std::size_t>(std::max(options_.channel, 0)) * width;
    Waveform wave{std::vector<float>(data_->size() / stride), static_cast<int>(layout.rate)};
    for (std::size_t i = 0; i < wave.samples.size(); ++i) {
      const std::uint64_t bits = little_endian(data_->subspan(i * stride + first, width));
      const float sample = layout.code == kPcm ? integer_sample(bits, layout.bits) : float_sample(bits, layout.bits);
      if (!std::isfinite(sample)) fail("has a NaN or infinite sample, number " + std::to_string(i));
      wave.samples[i] = sample;
    }
    return wave;
  }

  static float integer_sample(std::uint64_t bits, unsigned width) {
    if (width == 8) return (static_cast<float>(bits) - 128.f) / 128.f;  // the one unsigned width
    const auto left = static_cast<std::int32_t>(static_cast<std::uint32_t>(bits << (32 - width)));
    return static_cast<float>(left) * 0x1p-31f;
  }

  static float float_sample(std::uint64_t bits, unsigned width) {
    if (width == 32) return std::bit_cast<float>(static_cast<std::uint32_t>(bits));
    const double value = std::bit_cast<double>(bits);
    // A double beyond the range of float must not be cast.
    return std::abs(value) <= double{std::numeric_limits<float>::max()} ? static_cast<float>(value)
                                                                        : std::numeric_limits<float>::quiet_NaN();
  }

  Bytes bytes_;
  std::string name_;
  WavOptions options_;
  std::optional<Bytes> format_, data_;
};

unsigned bits_of(WavFormat format) {
  switch (format) {
    case WavFormat::pcm8: return 8;
    case WavFormat::pcm16: return 16;
    case WavFormat::pcm24: return 24;
    case WavFormat::pcm32:
    case WavFormat::float32: return 32;
    case WavFormat::float64: return 64;
  }
  return 0;
}

std::uint64_t encode(float sample, WavFormat format) {
  if (format == WavFormat::float32) return std::bit_cast<std::uint32_t>(sample);
  if (format == WavFormat::float64) return std::bit_cast<std::uint64_t>(double{sample});
  const double scale = std::ldexp(1.0, static_cast<int>(bits_of(format)) - 1);
  const double rounded = std::clamp(std::nearbyint(double{sample} * scale), -scale, scale - 1);
  const auto value = static_cast<std::int64_t>(rounded) + (format == WavFormat::pcm8 ? 128 : 0);
  return static_cast<std::uint64_t>(value);
}

class Writer {
 public:
  explicit Writer(std::size_t size) { bytes_.reserve(size); }
  void tag(std::string_view text) {
    for (const char c : text) bytes_.push_back(static_cast<std::byte>(c));
  }
  void number(std::uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; ++i) bytes_.push_back(static_cast<std::byte>(value >> (8 * i)));
  }
  std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

}  // namespace

const char* to_string(WavFormat format) {
  switch (format) {
    case WavFormat::pcm8: return "pcm8";
    case WavFormat::pcm16: return "pcm16";
    case WavFormat::pcm24: return "pcm24";
    case WavFormat::pcm32: return "pcm32";
    case WavFormat::float32: return "float32";
    case WavFormat::float64: return "float64";
  }
  return "unknown";
}

Waveform parse_wav(Bytes bytes, const std::string& name, const WavOptions& options) {
  check_wave_options(options, "read_wav");
  return Parser(bytes, name, options).run();
}

Waveform read_wav(const std::string& path, const WavOptions& options) {
  const std::string bytes = read_sound_bytes(path, "read_wav");
  return parse_wav(std::as_bytes(std::span(bytes)), path, options);
}

std::vector<std::byte> format_wav(const Waveform& wave, WavFormat format) {
  const auto fail = [](const std::string& argument, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, "write_wav", argument, detail);
  };
  if (wave.samples.empty()) fail("samples", "must not be empty");
  if (wave.sample_rate < 1 || wave.sample_rate > static_cast<int>(kMostRate)) {
    fail("sample_rate", "must be 1 to " + std::to_string(kMostRate) + ", got " + std::to_string(wave.sample_rate));
  }
  const unsigned bits = bits_of(format), width = bits / 8;
  const std::uint64_t size = std::uint64_t{wave.samples.size()} * width;
  if (size > std::numeric_limits<std::uint32_t>::max() - 64) fail("samples", "must fit into 4 GiB");
  const bool floats = format == WavFormat::float32 || format == WavFormat::float64;
  const auto rate = static_cast<std::uint64_t>(wave.sample_rate);

  Writer out(static_cast<std::size_t>(size) + 64);
  out.tag("RIFF");
  out.number(36 + size + size % 2, 4);
  out.tag("WAVEfmt ");
  out.number(kFormatBytes, 4);
  out.number(floats ? kFloat : kPcm, 2);
  out.number(1, 2);
  out.number(rate, 4);
  out.number(rate * width, 4);
  out.number(width, 2);
  out.number(bits, 2);
  out.tag("data");
  out.number(size, 4);
  for (std::size_t i = 0; i < wave.samples.size(); ++i) {
    if (!std::isfinite(wave.samples[i])) fail("samples[" + std::to_string(i) + "]", "must be finite");
    out.number(encode(wave.samples[i], format), width);
  }
  if (size % 2 != 0) out.number(0, 1);
  return out.take();
}

void write_wav(const std::string& path, const Waveform& wave, WavFormat format) {
  const std::vector<std::byte> bytes = format_wav(wave, format);
  write_bytes(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()}, "write_wav");
}

}  // namespace seqgpu::data
