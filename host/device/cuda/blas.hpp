#pragma once

#include <cstdint>

#include "device/cuda/queue.hpp"
#include "seqgpu/cell.hpp"

namespace seqgpu::device::cuda {

/// C = A B + beta C, row-major, f32 in memory. A row is `*_row` elements long, at least its columns.
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;  // any may be 0: k = 0 leaves beta C
  const float* a = nullptr;          // [m, k], or [k, m] if a_transposed
  std::int64_t a_row = 0;
  bool a_transposed = false;
  const float* b = nullptr;  // [k, n], or [n, k] if b_transposed
  std::int64_t b_row = 0;
  bool b_transposed = false;
  float* c = nullptr;  // [m, n]
  std::int64_t c_row = 0;
  float beta = 0;                        // 0: C is not read; 1: added to
  Precision precision = Precision::f32;  // of the products; sums are f32 in all
};

/// Enqueues it. The same shape gives the same bits on the same device, in a captured graph too.
/// @throws kernels::CudaError
void gemm(const Queue& queue, const Gemm& gemm);

}  // namespace seqgpu::device::cuda
