#pragma once

#include <cstdint>

#include "kernels/block/elements.cuh"
#include "kernels/block/reduce.cuh"

// Threads that share one row of [rows, columns]: 1, 2, 4, .. 32 lanes of a warp, or a block of kElementThreads. One
// instance of a kernel serves all widths, and a row's sums are taken in an order that depends on its width only.
namespace seqgpu::kernels {

/// Lanes for rows of this width.
inline int row_lanes(std::int64_t columns) {
  if (columns > 1024) return kElementThreads;
  int lanes = 1;
  while (lanes < 32 && lanes < columns) lanes *= 2;
  return lanes;
}

inline LaunchShape row_groups_shape(std::int64_t rows, int lanes, cudaStream_t stream,
                                    std::int64_t most_blocks = kMostBlocks) {
  return {.grid = dim3(blocks_for(rows, kElementThreads / lanes, most_blocks)),
          .block = dim3(kElementThreads),
          .stream = stream};
}

/// The larger; a NaN wins.
struct LargerOrNan {
  __device__ __forceinline__ float operator()(float a, float b) const { return b > a || b != b ? b : a; }
  template <class T>
  static __device__ __forceinline__ constexpr T identity() {
    return static_cast<T>(-INFINITY);
  }
};

/// Everyone in the group gets all values folded by op, which is commutative. Called by whole warps, and by the whole
/// block where lanes > 32.
template <class T, class Op>
__device__ inline T fold_lanes(int lanes, T value, Op op) {
  if (lanes > kWarp) return block_reduce(value, op);
  for (int d = lanes / 2; d > 0; d /= 2) value = op(value, __shfl_xor_sync(kFullMask, value, d));
  return value;
}

/// f(row, lane, active) for each row; the lanes of a group come together, and so do all lanes of a warp: where there
/// are no rows left for some of them, active is false.
template <class F>
__device__ inline void each_group_row(std::int64_t rows, int lanes, F f) {
  const std::int64_t groups = kElementThreads / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  for (std::int64_t base = blockIdx.x * groups; base < rows; base += gridDim.x * groups) {
    const std::int64_t row = base + static_cast<int>(threadIdx.x) / lanes;
    f(row, lane, row < rows);
  }
}

}  // namespace seqgpu::kernels
