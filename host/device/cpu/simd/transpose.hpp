#pragma once

#include <cstdint>

#include "device/cpu/simd/pack.hpp"

namespace seqgpu::device::cpu::SEQGPU_SIMD {

/// Exchanges the off-diagonal blocks of Step x Step in every square of twice that.
template <class T, int Step>
[[gnu::always_inline]] inline void exchange_blocks(typename Pack<T>::Vector* rows) {
  constexpr int L = Pack<T>::kLanes;
  using Index = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  typedef Index Mask __attribute__((vector_size(kPackBytes)));
  Mask upper, lower;
  for (int j = 0; j < L; ++j) {
    upper[j] = (j & Step) ? L + j - Step : j;
    lower[j] = (j & Step) ? L + j : j + Step;
  }
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i & Step) continue;
    const auto a = rows[i], b = rows[i + Step];
    rows[i] = __builtin_shuffle(a, b, upper);
    rows[i + Step] = __builtin_shuffle(a, b, lower);
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
