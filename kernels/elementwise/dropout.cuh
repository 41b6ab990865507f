#pragma once

#include "kernels/block/elements.cuh"
#include "kernels/elementwise/launch.hpp"
#include "kernels/math/philox.hpp"

// Dropout, forward and backward alike: the same mask as on the CPU, bit for bit.
//   work    one thread per group of four elements, which are the four draws of one Philox counter, grid-stride;
//           one thread per element where groups would straddle the end of a period
//   memory  x once, y once; the mask is never stored
namespace seqgpu::kernels {

__device__ inline float drop(const DropoutArgs& p, std::uint32_t bits, float x) {
  return math::unit_interval(bits) >= p.rate ? x * p.scale : 0.f;
}

__device__ inline void drop_groups(const DropoutArgs& p, std::uint64_t step) {
  const std::int64_t groups = (p.period + 3) / 4;
  const bool vectors = is_aligned(p.x, p.y);
  for (std::int64_t q = thread_of_grid(); q < (p.count + 3) / 4; q += threads_of_grid()) {
    const math::Philox4 bits = math::philox_group(p.key, step, static_cast<std::uint64_t>(q % groups));
    const std::int64_t i = 4 * q;
    if (vectors && i + 4 <= p.count) {
      const float4 x = reinterpret_cast<const float4*>(p.x)[q];
      reinterpret_cast<float4*>(p.y)[q] = {drop(p, bits.x[0], x.x), drop(p, bits.x[1], x.y), drop(p, bits.x[2], x.z),
                                           drop(p, bits.x[3], x.w)};
      continue;
    }
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      if (i + j < p.count) p.y[i + j] = drop(p, bits.x[j], p.x[i + j]);
    }
  }
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) dropout_kernel(DropoutArgs p) {
  const auto step = static_cast<std::uint64_t>(*p.step);
  if (p.period == p.count || p.period % 4 == 0) return drop_groups(p, step);
  for (std::int64_t i = thread_of_grid(); i < p.count; i += threads_of_grid()) {
    const auto index = static_cast<std::uint64_t>(i % p.period);
    const math::Philox4 bits = math::philox_group(p.key, step, index / 4);
    const std::uint32_t lower = index % 2 ? bits.x[1] : bits.x[0], upper = index % 2 ? bits.x[3] : bits.x[2];
    p.y[i] = drop(p, index % 4 < 2 ? lower : upper, p.x[i]);
  }
}

}  // namespace seqgpu::kernels
