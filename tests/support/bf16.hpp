#pragma once

#include <bit>
#include <cstdint>

namespace seqgpu::support {

/// The nearest bf16, ties to even, of a number that is finite and no subnormal.
inline double to_bf16(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return std::bit_cast<float>((bits + 0x7FFFu + ((bits >> 16) & 1)) & 0xFFFF0000u);
}

}  // namespace seqgpu::support
