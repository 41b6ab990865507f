#pragma once

#include <cstdint>

#include "seqgpu/export.hpp"

// Philox 4x32-10: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011. Counter based, so
// that a mask is a pure function of (seed, stream, step, index), the same on every device.
namespace seqgpu::math {

struct Philox4 {
  std::uint32_t x[4];
};

SEQGPU_HD inline Philox4 philox4x32(Philox4 counter, std::uint64_t key) {
  auto k0 = static_cast<std::uint32_t>(key);
  auto k1 = static_cast<std::uint32_t>(key >> 32);
  std::uint32_t* c = counter.x;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c[0];
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c[2];
    const auto next0 = static_cast<std::uint32_t>(p1 >> 32) ^ c[1] ^ k0;
    const auto next2 = static_cast<std::uint32_t>(p0 >> 32) ^ c[3] ^ k1;
    c[1] = static_cast<std::uint32_t>(p1);
    c[3] = static_cast<std::uint32_t>(p0);
    c[0] = next0;
    c[2] = next2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return counter;
}

/// The finaliser of SplitMix64: a bijection that spreads small seeds over all bits.
SEQGPU_HD inline std::uint64_t mix_bits(std::uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

SEQGPU_HD inline std::uint64_t philox_key(std::uint64_t seed, std::uint64_t stream) {
  return mix_bits(seed ^ mix_bits(stream));
}

/// 4 draws at a time: those of indices 4 * group .. 4 * group + 3.
SEQGPU_HD inline Philox4 philox_group(std::uint64_t key, std::uint64_t step, std::uint64_t group) {
  return philox4x32({{static_cast<std::uint32_t>(group), static_cast<std::uint32_t>(group >> 32),
                      static_cast<std::uint32_t>(step), static_cast<std::uint32_t>(step >> 32)}},
                    key);
}

/// 24 bits as a number in [0, 1).
SEQGPU_HD inline float unit_interval(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

/// A number in [0, 1). Dropout keeps an element where uniform() >= rate.
SEQGPU_HD inline float uniform(std::uint64_t seed, std::uint64_t stream, std::uint64_t step, std::uint64_t index) {
  return unit_interval(philox_group(philox_key(seed, stream), step, index / 4).x[index % 4]);
}

}  // namespace seqgpu::math
