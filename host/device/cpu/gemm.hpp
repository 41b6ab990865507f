#pragma once

#include <cstddef>
#include <cstdint>

#include "device/implementation.hpp"
#include "seqgpu/cell.hpp"

// C [M, N] = alpha_is_one A B (+ C), row-major, on the CPU. Deterministic: tiles are fixed by the shape alone.
namespace seqgpu::device::cpu {

/// Where the rows of a matrix lie: `group` of them `stride` apart, and the next group `far` from where that one began.
/// Always inline, as it is compiled for several instruction sets.
struct Rows {
  std::int64_t stride = 0, group = 0, far = 0;  // group 0: all rows are one

  [[gnu::always_inline]] Rows(std::int64_t s) : stride(s) {}
  [[gnu::always_inline]] Rows(std::int64_t s, std::int64_t g, std::int64_t f) : stride(s), group(g), far(f) {}
  [[gnu::always_inline]] std::int64_t at(std::int64_t i) const {
    return group > 0 ? i / group * far + i % group * stride : i * stride;
  }
  /// Rows from i on that are `stride` apart, `most` at most.
  [[gnu::always_inline]] std::int64_t together(std::int64_t i, std::int64_t most) const {
    return group > 0 && group - i % group < most ? group - i % group : most;
  }
};

template <class T>
struct Gemm {
  std::int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;  // A(i, p) = a[a_row.at(i) + p*a_col]; in groups only where a_col is 1
  Rows a_row = 0;
  std::int64_t a_col = 1;
  const T* b = nullptr;  // B(p, j) = b[b_row.at(p) + j*b_col]; in groups only where b_col is 1, and not in bf16
  Rows b_row = 0;
  std::int64_t b_col = 1;
  T* c = nullptr;  // C(i, j) = c[c_row.at(i) + j]; in groups only where a_col is 1
  Rows c_row = 0;
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

/// Columns of C that belong together: B is packed, and C made, by groups of them. What follows is for one group, or
/// some, on the caller's thread: several may each make some groups of one product.
template <class T>
std::int64_t gemm_group_columns(Precision precision);
template <class T>
void gemm_pack_group(const Gemm<T>& g, std::int64_t group, void* packed);
/// Groups [first, last).
template <class T>
void gemm_packed_groups(const Gemm<T>& g, const void* packed, std::int64_t first, std::int64_t last);

extern template std::size_t gemm_workspace<float>(std::int64_t, std::int64_t, std::int64_t);
extern template std::size_t gemm_workspace<double>(std::int64_t, std::int64_t, std::int64_t);
extern template void gemm<float>(const Gemm<float>&, void*, Parallel&);
extern template void gemm<double>(const Gemm<double>&, void*, Parallel&);
extern template void gemm_pack<float>(const Gemm<float>&, void*, Parallel&);
extern template void gemm_pack<double>(const Gemm<double>&, void*, Parallel&);
extern template void gemm_packed<float>(const Gemm<float>&, const void*, Parallel&);
extern template void gemm_packed<double>(const Gemm<double>&, const void*, Parallel&);
extern template std::int64_t gemm_group_columns<float>(Precision);
extern template std::int64_t gemm_group_columns<double>(Precision);
extern template void gemm_pack_group<float>(const Gemm<float>&, std::int64_t, void*);
extern template void gemm_pack_group<double>(const Gemm<double>&, std::int64_t, void*);
extern template void gemm_packed_groups<float>(const Gemm<float>&, const void*, std::int64_t, std::int64_t);
extern template void gemm_packed_groups<double>(const Gemm<double>&, const void*, std::int64_t, std::int64_t);

}  // namespace seqgpu::device::cpu
