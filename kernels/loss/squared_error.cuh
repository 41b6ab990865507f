#pragma once

#include "kernels/block/ragged.cuh"
#include "kernels/block/row_group.cuh"
#include "kernels/loss/launch.hpp"

// Squared error.
//   work    one thread per element, grid-stride; one block adds the blocks' sums, and the lengths, in order
//   memory  x and target once
//   limits  none
namespace seqgpu::kernels {

inline constexpr int kSumBlocks = 1024;  // at most: what kLossWorkspace holds sums of
static_assert(kSumBlocks * sizeof(double) <= kLossWorkspace);

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) squared_error_sums_kernel(SquaredErrorArgs p) {
  double sum = 0;
  for (std::int64_t i = thread_of_grid(); i < p.rows * p.width; i += threads_of_grid()) {
    if (!row_counts(p.lengths, i / p.width, p.N)) continue;
    const double error = static_cast<double>(p.x[i]) - static_cast<double>(p.target[i]);
    sum += error * error;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) static_cast<double*>(p.workspace)[blockIdx.x] = sum;
}

/// Rows that count, for all threads of a block.
__device__ inline std::int64_t count_rows(const std::int32_t* lengths, std::int64_t rows, std::int64_t N) {
  if (!lengths) return rows;
  std::int64_t count = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += kElementThreads) count += length_of(lengths, n, rows / N);
  return block_sum(count);
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    squared_error_mean_kernel(SquaredErrorArgs p, int blocks) {
  if (p.N > 0) check_lengths(p.lengths, p.N, p.rows / p.N, p.faults);
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kElementThreads) {
    sum += static_cast<const double*>(p.workspace)[i];
  }
  sum = block_sum(sum);
  const std::int64_t count = count_rows(p.lengths, p.rows, p.N) * p.width;
  if (threadIdx.x == 0) *p.loss = static_cast<float>(count > 0 ? sum / static_cast<double>(count) : 0.0);
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) count_rows_kernel(SquaredErrorBackwardArgs p) {
  if (p.N > 0) check_lengths(p.lengths, p.N, p.rows / p.N, p.faults);
  const std::int64_t count = count_rows(p.lengths, p.rows, p.N);
  if (threadIdx.x == 0) *static_cast<std::int64_t*>(p.workspace) = count;
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    squared_error_backward_kernel(SquaredErrorBackwardArgs p) {
  const std::int64_t count = *static_cast<const std::int64_t*>(p.workspace) * p.width;
  const float scale = count > 0 ? 2.f * *p.dloss / static_cast<float>(count) : 0.f;
  if (!p.lengths) {
    return map_elements(
        p.rows * p.width, p.dx, [=](float x, float target) { return scale * (x - target); }, p.x, p.target);
  }
  each_of_rows(p.rows, p.width, [&](std::int64_t row, std::int64_t column) {
    const std::int64_t i = row * p.width + column;
    p.dx[i] = row_counts(p.lengths, row, p.N) ? scale * (p.x[i] - p.target[i]) : 0.f;
  });
}

}  // namespace seqgpu::kernels
