#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

// Numbers that every contestant makes by itself, in C++ and in Python (random_data.py), to the same bits: a counter
// through the finaliser of SplitMix64 (Steele, Lea, Flood 2014), keyed by the name of a tensor.
namespace seqgpu::benchmark {

inline constexpr std::uint64_t kRandomSpan = std::uint64_t{1} << 24;

/// FNV-1a.
inline std::uint64_t key_of(std::string_view tensor) {
  std::uint64_t key = 0xcbf29ce484222325u;
  for (const char c : tensor) key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return key;
}

inline std::uint64_t mixed(std::uint64_t key, std::uint64_t index) {
  std::uint64_t z = key + (index + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/// Uniform in [0, kRandomSpan).
inline std::uint64_t random_bits(std::string_view tensor, std::uint64_t index) {
  return mixed(key_of(tensor), index) >> 40;
}

/// U[-scale, scale), `count` of them.
inline std::vector<float> random_values(std::string_view tensor, std::size_t count, float scale = 1.f) {
  std::vector<float> values(count);
  const std::uint64_t key = key_of(tensor);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = (static_cast<float>(mixed(key, i) >> 40) * 0x1p-23f - 1.f) * scale;
  }
  return values;
}

/// Uniform integers in [low, high).
inline std::vector<std::int32_t> random_integers(std::string_view tensor, std::size_t count, std::int32_t low,
                                                 std::int32_t high) {
  std::vector<std::int32_t> values(count);
  const auto span = static_cast<std::uint64_t>(high - low);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = low + static_cast<std::int32_t>(random_bits(tensor, i) * span / kRandomSpan);
  }
  return values;
}

}  // namespace seqgpu::benchmark
