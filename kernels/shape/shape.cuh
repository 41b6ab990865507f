#pragma once

#include "kernels/block/ragged.cuh"
#include "kernels/shape/launch.hpp"

// Operations that move elements.
//   work    one thread per element of the result (copy_rows: per 16 bytes where everything is aligned), in rows
//   memory  each element read once and written once, coalesced along the row
//   limits  none
namespace seqgpu::kernels {

template <class Unit>
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) copy_rows_kernel(CopyRowsArgs p) {
  constexpr std::int64_t size = sizeof(Unit) / sizeof(float);
  const RowsPart& part = p.parts[blockIdx.z];
  each_of_rows(p.rows, part.width / size, [&](std::int64_t row, std::int64_t column) {
    const auto* from = reinterpret_cast<const Unit*>(part.from + row * part.from_stride);
    reinterpret_cast<Unit*>(part.to + row * part.to_stride)[column] = from[column];
  });
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) pad_rows_kernel(PadRowsArgs p) {
  each_of_rows(p.rows, p.width, [&](std::int64_t row, std::int64_t column) {
    const bool inside = column >= p.begin && column < p.end;
    p.dx[row * p.width + column] = inside ? p.dy[row * (p.end - p.begin) + column - p.begin] : 0.f;
  });
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) window_kernel(WindowArgs p) {
  check_lengths(p.lengths, p.N, p.T, p.faults);
  const std::int64_t places = 2 * p.radius + 1;
  each_of_rows(p.T * p.N * places, p.E, [&](std::int64_t row, std::int64_t e) {
    const std::int64_t place = row % places, at = row / places, n = at % p.N, t = at / p.N;
    const std::int64_t from = t + place - p.radius, length = length_of(p.lengths, n, p.T);
    const bool inside = t < length && from >= 0 && from < length;
    p.y[row * p.E + e] = inside ? p.x[(from * p.N + n) * p.E + e] : 0.f;
  });
}

// Step s stands at place s - t + radius of step t's window.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) window_backward_kernel(WindowBackwardArgs p) {
  check_lengths(p.lengths, p.N, p.T, p.faults);
  const std::int64_t places = 2 * p.radius + 1;
  each_of_rows(p.T * p.N, p.E, [&](std::int64_t row, std::int64_t e) {
    const std::int64_t n = row % p.N, s = row / p.N, length = length_of(p.lengths, n, p.T);
    float sum = 0.f;
    if (s < length) {
      const std::int64_t first = s > p.radius ? s - p.radius : 0;
      const std::int64_t last = s + p.radius < length ? s + p.radius : length - 1;
      for (std::int64_t t = first; t <= last; ++t) {
        sum += p.dy[((t * p.N + n) * places + s - t + p.radius) * p.E + e];
      }
    }
    p.dx[row * p.E + e] = sum;
  });
}

}  // namespace seqgpu::kernels
