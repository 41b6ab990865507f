#pragma once

#include <cstdint>

#include "kernels/block/elements.cuh"
#include "kernels/block/fault.cuh"

// Ragged batches: row r of [T, N, .] is step r / N of sequence r % N, and counts while r / N < lengths[r % N].
namespace seqgpu::kernels {

/// The length of sequence n, brought into [0, T]; T where there are no lengths.
__device__ inline std::int64_t length_of(const std::int32_t* lengths, std::int64_t n, std::int64_t T) {
  if (!lengths) return T;
  const std::int64_t length = lengths[n];
  return length < 0 ? 0 : length > T ? T : length;
}

__device__ inline bool row_counts(const std::int32_t* lengths, std::int64_t row, std::int64_t N) {
  return !lengths || row / N < lengths[row % N];
}

/// Reports lengths outside [0, T]: the work of the first block of a grid.
__device__ inline void check_lengths(const std::int32_t* lengths, std::int64_t N, std::int64_t T,
                                     const FaultSink& faults) {
  if (!lengths || blockIdx.x != 0 || blockIdx.y != 0) return;
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  for (std::int64_t n = thread; n < N; n += blockDim.x * blockDim.y) {
    if (lengths[n] < 0 || lengths[n] > T) report_fault(faults, FaultyArgument::lengths, n, lengths[n]);
  }
}

}  // namespace seqgpu::kernels
