#pragma once

#include "kernels/block/elements.cuh"
#include "kernels/block/fault.cuh"
#include "kernels/block/reduce.cuh"
#include "kernels/optimizer/launch.hpp"

// The norm of the flat gradient, in double.
//   work    one thread per four elements, grid-stride; then one block adds the blocks' sums in order
//   memory  the gradient once
//   limits  none
namespace seqgpu::kernels {

inline constexpr int kNormBlocks = kGradientNormWorkspace / sizeof(double);

__device__ inline double square(float x) { return static_cast<double>(x) * static_cast<double>(x); }

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) square_sums_kernel(GradientNormArgs p) {
  double sum = 0;
  std::int64_t done = 0;
  if (is_aligned(p.gradient)) {
    const auto* gradient = reinterpret_cast<const float4*>(p.gradient);
#pragma unroll 4
    for (std::int64_t i = thread_of_grid(); i < p.count / 4; i += threads_of_grid()) {
      const float4 g = gradient[i];
      sum += (square(g.x) + square(g.y)) + (square(g.z) + square(g.w));
    }
    done = p.count / 4 * 4;
  }
  for (std::int64_t i = done + thread_of_grid(); i < p.count; i += threads_of_grid()) sum += square(p.gradient[i]);
  sum = block_sum(sum);
  if (threadIdx.x == 0) static_cast<double*>(p.workspace)[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) norm_kernel(GradientNormArgs p, int blocks) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kElementThreads) {
    sum += static_cast<const double*>(p.workspace)[i];
  }
  sum = block_sum(sum);
  if (threadIdx.x != 0 || has_faulted(p.faults)) return;
  p.control->norm = sqrt(sum);
  p.control->finite = sum < HUGE_VAL ? 1 : 0;  // of squares: never below 0; false for a NaN
}

}  // namespace seqgpu::kernels
