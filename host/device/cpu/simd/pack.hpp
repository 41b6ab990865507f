#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

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

  /// f64: libm lane by lane, exact to an ulp. f32: 2^n e^r with |r| <= ln2/2 and Cephes' expf polynomial, about 1 ulp;
  /// saturates at e^-87.3 and e^88.
  friend Pack exp(Pack x) {
    if constexpr (sizeof(T) == 8) {
      for (int i = 0; i < kLanes; ++i) x.v[i] = __builtin_exp(x.v[i]);
      return x;
    } else {
      typedef std::int32_t Int __attribute__((vector_size(kPackBytes)));
      const Vector clamped = x.v > 88.02f ? Vector{} + 88.02f : (x.v < -87.33f ? Vector{} - 87.33f : x.v);
      // Adding 1.5 * 2^23 rounds to an integer and leaves it in the low bits.
      const Vector shifted = clamped * 1.44269504088896341f + 12582912.f;
      const Vector n = shifted - 12582912.f;
      const Vector r = clamped - n * 0.693359375f - n * -2.12194440e-4f;
      Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
      p = p * r + 8.3334519073e-3f;
      p = p * r + 4.1665795894e-2f;
      p = p * r + 1.6666665459e-1f;
      p = p * r + 5.0000001201e-1f;
      p = p * (r * r) + r + 1.f;
      Int bits;
      std::memcpy(&bits, &shifted, sizeof bits);
      bits = (bits - 0x4B400000 + 127) << 23;
      Vector scale;
      std::memcpy(&scale, &bits, sizeof scale);
      return p * scale;
    }
  }
  friend Pack tanh(Pack x) {
    if constexpr (sizeof(T) == 8) {
      for (int i = 0; i < kLanes; ++i) x.v[i] = __builtin_tanh(x.v[i]);
      return x;
    } else {
      return math::tanh_quotient(x);
    }
  }
};

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
