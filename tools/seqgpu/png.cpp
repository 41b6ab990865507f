#include "png.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace seqgpu::tool {
namespace {

// Big-endian.
std::string be32(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xffU);
  return bytes;
}

std::uint32_t crc32(std::string_view bytes) {
  std::uint32_t crc = 0xffffffffU;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (0xedb88320U & (0U - (crc & 1U)));
  }
  return ~crc;
}

std::uint32_t adler32(std::string_view bytes) {
  std::uint32_t a = 1, b = 0;
  for (const char c : bytes) {
    a = (a + static_cast<unsigned char>(c)) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

std::string chunk(const std::string& type, const std::string& data) {
  return be32(static_cast<std::uint32_t>(data.size())) + type + data + be32(crc32(type + data));
}

// zlib's format with stored blocks only.
std::string stored(std::string_view data) {
  constexpr std::size_t kMost = 65535;
  std::string out = "\x78\x01";
  std::size_t begin = 0;
  do {
    const std::size_t size = std::min(kMost, data.size() - begin);
    out += begin + size == data.size() ? '\1' : '\0';
    for (const std::size_t word : {size, ~size}) {
      out += static_cast<char>(word & 0xffU);
      out += static_cast<char>(word >> 8 & 0xffU);
    }
    out += data.substr(begin, size);
    begin += size;
  } while (begin < data.size());
  return out + be32(adler32(data));
}

// Between a few colours of equal steps in lightness, as matplotlib's "magma" has them.
std::string palette() {
  constexpr std::array<std::array<int, 3>, 6> kStops{
      {{0, 0, 4}, {59, 15, 112}, {140, 41, 129}, {222, 73, 104}, {254, 159, 109}, {252, 253, 191}}};
  std::string colours;
  for (int i = 0; i < 256; ++i) {
    const int scaled = i * static_cast<int>(kStops.size() - 1), at = std::min(scaled / 255, 4),
              part = scaled - at * 255;
    for (std::size_t c = 0; c < 3; ++c) {
      const int from = kStops[static_cast<std::size_t>(at)][c], to = kStops[static_cast<std::size_t>(at) + 1][c];
      colours += static_cast<char>(from + (to - from) * part / 255);
    }
  }
  return colours;
}

std::string base64(std::string_view bytes) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63U];
  }
  return text;
}

}  // namespace

std::string heat_map_uri(std::span<const std::uint8_t> pixels, int width, int height) {
  std::string rows;
  for (int y = 0; y < height; ++y) {
    rows += '\0';  // no filter
    const auto row =
        pixels.subspan(static_cast<std::size_t>(y) * static_cast<std::size_t>(width), static_cast<std::size_t>(width));
    rows.append(row.begin(), row.end());
  }
  const std::string header = be32(static_cast<std::uint32_t>(width)) + be32(static_cast<std::uint32_t>(height)) +
                             std::string("\x08\x03\0\0\0", 5);  // 8 bits, palette
  const std::string png = "\x89PNG\r\n\x1a\n" + chunk("IHDR", header) + chunk("PLTE", palette()) +
                          chunk("IDAT", stored(rows)) + chunk("IEND", "");
  return "data:image/png;base64," + base64(png);
}

}  // namespace seqgpu::tool
