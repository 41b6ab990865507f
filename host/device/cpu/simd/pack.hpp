#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include "kernels/math/activation.hpp"

// A vector register of numbers. Included only by *_kernels.cpp, which are compiled once per instruction set; all names
// here live in that set's namespace, so that the linker never merges code of two sets.
#if !defined(SEQGPU_SIMD)
#define SEQGPU_SIMD baseline
#endif

namespace seqgpu::device::cpu::SEQGPU_SIMD {

#if defined(__AVX512F__)
inline constexpr int kPackBytes = 64, kRowTile = 6;  // 32 registers: 6 x 4 sums, 6 broadcasts, 1 load
#elif defined(__AVX2__)
inline constexpr int kPackBytes = 32, kRowTile = 3;  // 16 registers: 3 x 4 sums, 3 broadcasts, 1 load
#else
inline constexpr int kPackBytes = 16, kRowTile = 2;
#endif
inline constexpr int kColumnTile = 4;  // packs across a tile

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float type __attribute__((vector_size(kPackBytes)));
};
template <>
struct VectorOf<double> {
  typedef double type __attribute__((vector_size(kPackBytes)));
};

template <class Real>
Real exp_f32(Real x);
template <class Real>
Real tanh_f32(Real x);

template <class T>
struct Pack {
  using Vector = typename VectorOf<T>::type;
  static constexpr int kLanes = kPackBytes / static_cast<int>(sizeof(T));

  Vector v;

  Pack() = default;
  Pack(Vector vector) : v(vector) {}
  template <class U, class = std::enable_if_t<std::is_arithmetic_v<U>>>
  Pack(U scalar) : v(static_cast<T>(scalar) - Vector{}) {}  // minus zero keeps the sign of -0

  static Pack load(const T* p) {
    Pack x;
    std::memcpy(&x.v, p, sizeof x.v);
    return x;
  }
  void store(T* p) const { std::memcpy(p, &v, sizeof v); }

  friend Pack operator+(Pack a, Pack b) { return a.v + b.v; }
  friend Pack operator-(Pack a, Pack b) { return a.v - b.v; }
  friend Pack operator*(Pack a, Pack b) { return a.v * b.v; }
  friend Pack operator/(Pack a, Pack b) { return a.v / b.v; }
  friend Pack operator-(Pack a) { return -a.v; }
  friend auto operator<(Pack a, Pack b) { return a.v < b.v; }
  friend auto operator>(Pack a, Pack b) { return a.v > b.v; }
  friend Pack select(decltype(Vector{} < Vector{}) mask, Pack yes, Pack no) { return mask ? yes.v : no.v; }
  friend Pack abs(Pack a) { return a.v < 0 ? -a.v : a.v; }

  /// The limit where x is beyond it, else x: one instruction, and a NaN stays.
  friend Pack at_most(Pack limit, Pack x) {
#if defined(__AVX512F__)  // where GCC makes two of a choice
    if constexpr (sizeof(T) == 4) return (Vector)_mm512_min_ps((__m512)limit.v, (__m512)x.v);
#endif
    return limit.v < x.v ? limit.v : x.v;
  }
  friend Pack at_least(Pack limit, Pack x) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (Vector)_mm512_max_ps((__m512)limit.v, (__m512)x.v);
#endif
    return limit.v > x.v ? limit.v : x.v;
  }

  /// n / d for a d that is no subnormal. With AVX-512 from the processor's estimate, within 2^-14, and what then
  /// remains of n: nearly as exact as a division, in half the time.
  friend Pack quotient(Pack n, Pack d) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) {
      const Vector estimate = (Vector)_mm512_rcp14_ps((__m512)d.v);
      const Vector y = n.v * estimate;
      return (n.v - y * d.v) * estimate + y;
    }
#endif
    return n.v / d.v;
  }
  friend Pack reciprocal(Pack d) { return quotient(Pack(T(1)), d); }

  /// f32: x 2^n for an integral n from -126 to 127, given that and 1.5 * 2^23 + n, whose low bits it is.
  friend Pack times_power_of_two(Pack x, [[maybe_unused]] Pack n, [[maybe_unused]] Pack shifted) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) == 4) return (Vector)_mm512_scalef_ps((__m512)x.v, (__m512)n.v);
#endif
    typedef std::int32_t Int __attribute__((vector_size(kPackBytes)));
    Int bits;
    std::memcpy(&bits, &shifted.v, sizeof bits);
    bits = (bits - 0x4B400000 + 127) << 23;
    std::memcpy(&shifted.v, &bits, sizeof bits);
    return x.v * shifted.v;
  }

  friend Pack exp(Pack x) {
    if constexpr (sizeof(T) == 4) return exp_f32(x);
    for (int i = 0; i < kLanes; ++i) x.v[i] = static_cast<T>(__builtin_exp(x.v[i]));
    return x;
  }
  friend Pack tanh(Pack x) {
    if constexpr (sizeof(T) == 4) return tanh_f32(x);
    for (int i = 0; i < kLanes; ++i) x.v[i] = static_cast<T>(__builtin_tanh(x.v[i]));
    return x;
  }
};

/// e^x in single precision: 2^n e^r with |r| <= ln2/2 and a polynomial whose relative error is below 3.1e-9 there,
/// within 1.2 ulp, 0.9 where multiply-adds are fused; saturates at e^-87.3 and e^88.
template <class Real>
[[gnu::always_inline]] inline Real exp_f32(Real x) {
  const Real clamped = at_most(Real(88.02f), at_least(Real(-87.33f), x));
  const Real shifted = clamped * Real(1.44269504088896341f) + Real(12582912.f);  // rounds to an integer
  const Real n = shifted - Real(12582912.f);
  const Real r = clamped - n * Real(0.693359375f) - n * Real(-2.12194440e-4f);
  Real p = r * Real(1.3814610429e-3f) + Real(8.3687109873e-3f);
  p = p * r + Real(4.1668388993e-2f);
  p = p * r + Real(1.6666521132e-1f);
  p = p * r + Real(4.9999994040e-1f);
  p = p * r + Real(1.f);
  p = p * r + Real(1.f);
  return times_power_of_two(p, n, shifted);
}

/// tanh in single precision without an exponential: a quotient of two polynomials in x^2, the minimax fit that Eigen
/// and XLA use. Within 2.9e-7 of the value, relatively; beyond +-7.905 tanh is 1 in single precision.
template <class Real>
[[gnu::always_inline]] inline Real tanh_f32(Real x) {
  const Real most = Real(7.90531110763549805f);
  const Real c = at_most(most, at_least(-most, x));
  const Real z = c * c;
  Real p = z * Real(-2.76076847742355e-16f) + Real(2.00018790482477e-13f);
  p = p * z + Real(-8.60467152213735e-11f);
  p = p * z + Real(5.12229709037114e-08f);
  p = p * z + Real(1.48572235717979e-05f);
  p = p * z + Real(6.37261928875436e-04f);
  p = p * z + Real(4.89352455891786e-03f);
  Real q = z * Real(1.19825839466702e-06f) + Real(1.18534705686654e-04f);
  q = q * z + Real(2.26843463243900e-03f);
  q = q * z + Real(4.89352518554385e-03f);
  return quotient(c * p, q);
}

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
