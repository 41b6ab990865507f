#pragma once

#include <immintrin.h>

#include "device/cpu/simd/transpose.hpp"

// Products of f32 numbers made in bf16 (AVX-512 BF16): both sides are rounded to the nearest bf16, ties to even,
// subnormal numbers to zero; the sums are f32. Included where SEQGPU_SIMD_BF16 is set.
namespace seqgpu::device::cpu::SEQGPU_SIMD {

/// Two neighbours along k, the first in the low half: what one multiply-add takes from each side. A last one without a
/// neighbour stands beside zero.
struct Bf16Pair {
  std::uint32_t bits;
};

template <class T>
struct Factor;

template <>
struct Factor<float> {
  using Element = Bf16Pair;
  using Vector = VectorOf<float>::type;
  static constexpr std::int64_t kTogether = 2;

  static Vector broadcast(Bf16Pair x) { return vector_of(_mm512_set1_epi32(static_cast<int>(x.bits))); }
  static Vector load(const Bf16Pair* p) { return vector_of(_mm512_loadu_si512(p)); }
  [[gnu::always_inline]] static Vector multiply_add(Vector a, Vector b, Vector sum) {
    __m512bh x, y;
    __m512 z;
    std::memcpy(&x, &a, sizeof x);
    std::memcpy(&y, &b, sizeof y);
    std::memcpy(&z, &sum, sizeof z);
    z = _mm512_dpbf16_ps(z, x, y);
    std::memcpy(&sum, &z, sizeof sum);
    return sum;
  }

 private:
  static Vector vector_of(__m512i bits) {
    Vector v;
    std::memcpy(&v, &bits, sizeof v);
    return v;
  }
};

/// The first `count` of 16.
inline __mmask16 first_lanes(std::int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xFFFF : count > 0 ? (1 << count) - 1 : 0);
}

/// 32 numbers, rounded, in order.
inline __m512i round_to_bf16(__m512 first, __m512 second) {
  const __m512bh rounded = _mm512_cvtne2ps_pbh(second, first);
  __m512i bits;
  std::memcpy(&bits, &rounded, sizeof bits);
  return bits;
}

/// Numbers that are neighbours in memory; `to` is written up to a multiple of 16 pairs.
inline void to_pairs(const float* from, std::int64_t count, Bf16Pair* to) {
  for (std::int64_t i = 0; i < count; i += 32)
    _mm512_storeu_si512(to + i / 2, round_to_bf16(_mm512_maskz_loadu_ps(first_lanes(count - i), from + i),
                                                  _mm512_maskz_loadu_ps(first_lanes(count - i - 16), from + i + 16)));
}

/// to[k/2*to_row + column] of up to 16 columns, the others zero, from from[column*column_stride + k*k_stride]; one of
/// the strides is 1.
inline void pack_pairs(const float* from, std::int64_t column_stride, std::int64_t k_stride, std::int64_t columns,
                       std::int64_t k, Bf16Pair* to, std::int64_t to_row) {
  constexpr std::int64_t ahead = 16;  // rows far apart in memory, which the processor does not foresee
  if (k_stride == 1) {
    alignas(64) Bf16Pair tile[16 * 16] = {};
    alignas(64) float rows[16 * 16], turned[16 * 16];
    for (std::int64_t p = 0; p < k; p += 32) {
      for (std::int64_t i = 0; i < 16 && i < columns; ++i)
        to_pairs(from + i * column_stride + p, k - p < 32 ? k - p : 32, tile + i * 16);
      std::memcpy(rows, tile, sizeof rows);
      transpose(rows, 16, turned, 16);  // moves bits alone
      for (std::int64_t i = 0; i < 16 && p + 2 * i < k; ++i)
        std::memcpy(to + (p / 2 + i) * to_row, turned + i * 16, 16 * sizeof(Bf16Pair));
    }
    return;
  }
  alignas(64) std::uint16_t order[32];
  for (int i = 0; i < 32; ++i) order[i] = static_cast<std::uint16_t>(i / 2 + i % 2 * 16);
  const __m512i interleaved = _mm512_load_si512(order);
  const __mmask16 valid = first_lanes(columns);
  for (std::int64_t p = 0; p < k; p += 2) {
    const float* row = from + p * k_stride;
    if (p + ahead < k) __builtin_prefetch(row + ahead * k_stride);
    if (p + ahead + 1 < k) __builtin_prefetch(row + (ahead + 1) * k_stride);
    const __m512 odd = p + 1 < k ? _mm512_maskz_loadu_ps(valid, row + k_stride) : _mm512_setzero_ps();
    const __m512i halves = round_to_bf16(_mm512_maskz_loadu_ps(valid, row), odd);
    _mm512_storeu_si512(to + p / 2 * to_row, _mm512_permutexvar_epi16(interleaved, halves));
  }
}

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
