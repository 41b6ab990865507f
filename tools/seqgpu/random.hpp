#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seqgpu::tool {

/// SplitMix64 (Steele, Lea, Flood 2014): spreads a number over 64 bits.
inline std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

/// Adds Gaussian noise (Box and Muller), the same for the same stream.
void add_noise(std::span<float> values, double deviation, std::uint64_t stream);

/// Which of `total` things are held back, chosen by the seed: that fraction of them, rounded down.
std::vector<bool> held_back(std::size_t total, double fraction, std::uint64_t seed);

/// FNV-1a over bytes.
class Fingerprint {
 public:
  void add(std::string_view bytes) {
    for (const char c : bytes) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  }
  std::string text() const;

 private:
  std::uint64_t hash_ = 0xcbf29ce484222325ULL;
};

}  // namespace seqgpu::tool
