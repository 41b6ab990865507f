#pragma once

#include <cstdint>

#include "kernels/block/cuda.cuh"

// How threads share elements and rows: grid-stride loops with 64-bit indices, 16 bytes at a time where the pointers
// allow it. Which thread does what depends on sizes only, never on the number of multiprocessors.
namespace seqgpu::kernels {

inline constexpr int kElementThreads = 256;  // of a block
inline constexpr int kElementBlocks = 4;     // that a multiprocessor shall hold, at 64 registers a thread. Without the
                                             // second bound the compiler may rather spill than use more than 32

inline constexpr std::int64_t kMostBlocks = 4096;

/// Blocks for `work` items, `per_block` each; at most `most`, which fills any GPU: the loops stride over the rest.
inline unsigned blocks_for(std::int64_t work, std::int64_t per_block, std::int64_t most = kMostBlocks) {
  const std::int64_t blocks = (work + per_block - 1) / per_block;
  return static_cast<unsigned>(blocks < 1 ? 1 : blocks > most ? most : blocks);
}

/// A launch for map_elements() and the like: four elements a thread.
inline LaunchShape elements_shape(std::int64_t count, cudaStream_t stream) {
  return {.grid = dim3(blocks_for(count, 4 * kElementThreads)), .block = dim3(kElementThreads), .stream = stream};
}

__device__ inline std::int64_t thread_of_grid() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t threads_of_grid() { return static_cast<std::int64_t>(gridDim.x) * blockDim.x; }

template <class... P>
__host__ __device__ inline bool is_aligned(const P*... pointers) {
  return ((reinterpret_cast<std::uintptr_t>(pointers) | ...) & 15) == 0;
}

template <class F, class... X>
__device__ inline float4 each_lane(F f, X... x) {
  return {f(x.x...), f(x.y...), f(x.z...), f(x.w...)};
}

/// y[i] = f(x[i]...); y may be one of the x.
template <class F, class... X>
__device__ inline void map_elements(std::int64_t count, float* y, F f, const X*... x) {
  std::int64_t done = 0;
  if (is_aligned(y, x...)) {
    for (std::int64_t i = thread_of_grid(); i < count / 4; i += threads_of_grid()) {
      reinterpret_cast<float4*>(y)[i] = each_lane(f, reinterpret_cast<const float4*>(x)[i]...);
    }
    done = count / 4 * 4;
  }
  for (std::int64_t i = done + thread_of_grid(); i < count; i += threads_of_grid()) y[i] = f(x[i]...);
}

/// A launch for each_of_rows(): columns along x, so that neighbours touch neighbours; narrow rows share a block.
inline LaunchShape rows_shape(std::int64_t rows, std::int64_t width, cudaStream_t stream) {
  unsigned columns = 1;
  while (columns < kElementThreads && columns < width) columns *= 2;
  const unsigned height = kElementThreads / columns;
  const unsigned across = blocks_for(width, 4 * columns, 1024);
  return {
      .grid = dim3(blocks_for(rows, height, 8192 / across), across), .block = dim3(columns, height), .stream = stream};
}

/// f(row, column) for each element of [rows, width].
template <class F>
__device__ inline void each_of_rows(std::int64_t rows, std::int64_t width, F f) {
  const std::int64_t down = static_cast<std::int64_t>(gridDim.x) * blockDim.y;
  const std::int64_t across = static_cast<std::int64_t>(gridDim.y) * blockDim.x;
  for (std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * blockDim.y + threadIdx.y; row < rows; row += down) {
    for (std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * blockDim.x + threadIdx.x; column < width;
         column += across) {
      f(row, column);
    }
  }
}

}  // namespace seqgpu::kernels
