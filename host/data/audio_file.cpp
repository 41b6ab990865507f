#include "seqgpu/data/audio_file.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string_view>

#include "data/bytes.hpp"
#include "data/sound_decoder.hpp"
#include "data/wave_options.hpp"

namespace seqgpu::data {

namespace {

using Bytes = std::span<const std::byte>;

struct Format {
  std::string_view begins, name;
};
// Only these reach a foreign library: it knows many more, older ones, and the bytes are not to be trusted.
constexpr std::array<Format, 6> kFormats = {
    {{"fLaC", "FLAC"}, {"OggS", "Ogg"}, {"ID3", "MP3"}, {"FORM", "AIFF"}, {".snd", "AU"}, {"caff", "CAF"}}};

// Empty: none of them.
std::string format_of(Bytes bytes) {
  for (const Format& format : kFormats) {
    if (bytes.size() >= format.begins.size() &&
        std::memcmp(bytes.data(), format.begins.data(), format.begins.size()) == 0) {
      return std::string(format.name);
    }
  }
  // A frame of MP3: eleven ones, any version, layer III. A UTF-16 mark is another layer.
  if (bytes.size() >= 2 && bytes[0] == std::byte{0xff} && (bytes[1] & std::byte{0xe6}) == std::byte{0xe2}) return "MP3";
  return {};
}

std::uint64_t big_endian(Bytes bytes, std::size_t at, std::size_t width = 4) {
  std::uint64_t value = 0;
  for (std::size_t i = at; i < at + width; ++i) value = value << 8 | std::to_integer<std::uint64_t>(bytes[i]);
  return value;
}

// Where the last page of an Ogg file ends; its size where pages do not follow each other.
std::uint64_t end_of_pages(Bytes bytes) {
  constexpr std::size_t kHeader = 27;
  std::size_t at = 0;
  while (at < bytes.size()) {
    if (bytes.size() - at < kHeader) return at + kHeader;
    if (std::memcmp(bytes.data() + at, "OggS", 4) != 0) return bytes.size();
    const auto segments = std::to_integer<std::size_t>(bytes[at + kHeader - 1]);
    std::size_t end = at + kHeader + segments;
    if (end > bytes.size()) return end;
    for (std::size_t i = 0; i < segments; ++i) end += std::to_integer<std::size_t>(bytes[at + kHeader + i]);
    at = end;
  }
  return at;
}

// Where the last chunk of a CAF file ends; its size where the last chunk does not say.
std::uint64_t end_of_chunks(Bytes bytes) {
  std::uint64_t at = 8;
  while (at < bytes.size()) {
    if (bytes.size() - at < 12) return at + 12;
    const std::uint64_t size = big_endian(bytes, at + 4, 8);
    if (size > std::numeric_limits<std::uint64_t>::max() / 2) return bytes.size();
    at += 12 + size;
  }
  return at;
}

// The bytes that the file says it has, in the formats where libsndfile makes do with fewer; 0: it does not say.
std::uint64_t size_said(Bytes bytes, std::string_view format) {
  if (format == "Ogg") return end_of_pages(bytes);
  if (format == "CAF") return end_of_chunks(bytes);
  if (format == "AIFF" && bytes.size() >= 8) return 8 + big_endian(bytes, 4);
  if (format == "AU" && bytes.size() >= 12 && big_endian(bytes, 8) != 0xffffffff) {
    return big_endian(bytes, 4) + big_endian(bytes, 8);
  }
  return 0;
}

}  // namespace

bool reads_compressed_audio() { return libsndfile().decode != nullptr; }

Waveform parse_audio_with(const SoundDecoder& decoder, Bytes bytes, const std::string& name,
                          const WavOptions& options) {
  const std::string format = format_of(bytes);
  if (format.empty()) return parse_wav(bytes, name, options);
  check_wave_options(options, "read_audio");
  if (decoder.decode == nullptr) {
    throw Error(ErrorCode::unsupported, "read_audio", name,
                "is " + format + ", and " + decoder.missing + ", or convert the file to WAV");
  }
  if (const std::uint64_t said = size_said(bytes, format); said > bytes.size()) {
    throw Error(ErrorCode::invalid_file, "read_audio", name,
                "is truncated: " + format + " that says at least " + std::to_string(said) + " bytes, of which " +
                    std::to_string(bytes.size()) + " are there");
  }
  return decoder.decode(bytes, name, format, options);
}

Waveform parse_audio(Bytes bytes, const std::string& name, const WavOptions& options) {
  return parse_audio_with(libsndfile(), bytes, name, options);
}

Waveform read_audio(const std::string& path, const WavOptions& options) {
  const std::string bytes = read_sound_bytes(path, "read_audio");
  return parse_audio(std::as_bytes(std::span(bytes)), path, options);
}

}  // namespace seqgpu::data
