#pragma once

#include <bit>
#include <cstdint>

#include "emulated/core.hpp"

// Twins of tensor-core instructions. The last lane to arrive computes for the warp; sums go in order of k, in float.

namespace emulator {

/// The nearest bf16, ties to even; any NaN becomes 0x7fff, as on the chip.
EMULATOR_UNWATCHED inline std::uint16_t to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;
  return static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}
EMULATOR_UNWATCHED inline float from_bf16(std::uint16_t value) {
  return std::bit_cast<float>(std::uint32_t{value} << 16);
}

/// The nearest tf32, ties away from zero: 10 bits of fraction stay.
EMULATOR_UNWATCHED inline std::uint32_t to_tf32(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7f800000u) == 0x7f800000u) return bits;  // infinite or NaN
  return (bits + 0x1000u) & 0xffffe000u;
}

void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                       const Where& where);
void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1,
                      const Where& where);
std::uint32_t movmatrix_trans(std::uint32_t pair, const Where& where);

}  // namespace emulator
