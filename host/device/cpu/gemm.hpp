#pragma once

#include <cstddef>
#include <cstdint>

#include "device/implementation.hpp"
#include "seqgpu/cell.hpp"

// C [M, N] = alpha_is_one A B (+ C), row-major, on the CPU. Deterministic: tiles are fixed by the shape alone.
namespace seqgpu::device::cpu {

template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;  // A(i, p) = a[i*a_row + p*a_col]
  std::int64_t a_row = 0, a_col = 1;
  const T* b = nullptr;  // B(p, j) = b[p*b_row + j*b_col]
  std::int64_t b_row = 0, b_col = 1;
  T* c = nullptr;  // C(i, j) = c[i*c_row + j]
  std::int64_t c_row = 0;
  const T* bias = nullptr;  // [N], added to every row, or null
  bool accumulate = false;  // C += instead of C =
  // bf16: A and B are rounded, where the processor can (simd().has_bf16()); each has a stride of 1 then. Else f32.
  Precision precision = Precision::f32;
};

/// Scratch that gemm() needs for this shape: packed panels.
template <class T>
std::size_t gemm_workspace(std::int64_t m, std::int64_t n, std::int64_t k);

template <class T>
void gemm(const Gemm<T>& g, void* workspace, Parallel& parallel);

/// The two halves of gemm(), for many products by one B: packs B, and multiplies by B packed.
template <class T>
void gemm_pack(const Gemm<T>& g, void* packed, Parallel& parallel);
template <class T>
void gemm_packed(const Gemm<T>& g, const void* packed, Parallel& parallel);

extern template std::size_t gemm_workspace<float>(std::int64_t, std::int64_t, std::int64_t);
extern template std::size_t gemm_workspace<double>(std::int64_t, std::int64_t, std::int64_t);
extern template void gemm<float>(const Gemm<float>&, void*, Parallel&);
extern template void gemm<double>(const Gemm<double>&, void*, Parallel&);
extern template void gemm_pack<float>(const Gemm<float>&, void*, Parallel&);
extern template void gemm_pack<double>(const Gemm<double>&, void*, Parallel&);
extern template void gemm_packed<float>(const Gemm<float>&, const void*, Parallel&);
extern template void gemm_packed<double>(const Gemm<double>&, const void*, Parallel&);

}  // namespace seqgpu::device::cpu
