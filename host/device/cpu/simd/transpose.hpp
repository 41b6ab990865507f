#pragma once

#include <cstdint>

#include "device/cpu/simd/pack.hpp"

namespace seqgpu::device::cpu::SEQGPU_SIMD {

template <class T>
using ShuffleIndex = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

/// Lane j is lane from[j] of a, or from[j] - kLanes of b.
template <class T, class Mask>
[[gnu::always_inline]] inline typename Pack<T>::Vector shuffle(typename Pack<T>::Vector a, typename Pack<T>::Vector b,
                                                               Mask from) {
#if defined(__clang__)  // which has no shuffle by a variable
  constexpr int L = Pack<T>::kLanes;
  typename Pack<T>::Vector out;
  for (int j = 0; j < L; ++j) out[j] = from[j] < L ? a[from[j]] : b[from[j] - L];
  return out;
#else
  return __builtin_shuffle(a, b, from);
#endif
}

/// Exchanges the off-diagonal blocks of Step x Step in every square of twice that.
template <class T, int Step>
[[gnu::always_inline]] inline void exchange_blocks(typename Pack<T>::Vector* rows) {
  constexpr int L = Pack<T>::kLanes;
  typedef ShuffleIndex<T> Mask __attribute__((vector_size(kPackBytes)));
  Mask upper, lower;
  for (int j = 0; j < L; ++j) {
    upper[j] = (j & Step) ? L + j - Step : j;
    lower[j] = (j & Step) ? L + j : j + Step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i & Step) continue;
    const auto a = rows[i], b = rows[i + Step];
    rows[i] = shuffle<T>(a, b, upper);
    rows[i + Step] = shuffle<T>(a, b, lower);
  }
}

/// to[k*to_row + i] = from[i*from_row + k] for i, k < kLanes.
template <class T>
inline void transpose(const T* from, std::int64_t from_row, T* to, std::int64_t to_row) {
  constexpr int L = Pack<T>::kLanes;
  typename Pack<T>::Vector rows[L];
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) rows[i] = Pack<T>::load(from + i * from_row).v;
  if constexpr (L > 1) exchange_blocks<T, 1>(rows);
  if constexpr (L > 2) exchange_blocks<T, 2>(rows);
  if constexpr (L > 4) exchange_blocks<T, 4>(rows);
  if constexpr (L > 8) exchange_blocks<T, 8>(rows);
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) Pack<T>(rows[i]).store(to + i * to_row);
}

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
