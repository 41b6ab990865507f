#pragma once

#include <utility>

#include "device/cpu/ctc_kernels.hpp"
#include "device/cpu/simd/pack.hpp"

// Packs of numbers m * 2^k, and what packs need besides.
namespace seqgpu::device::cpu::SEQGPU_SIMD {
namespace {

template <class T>
struct Exponents;  // a pack of integers as wide as the numbers
template <>
struct Exponents<float> {
  typedef std::int32_t Vector __attribute__((vector_size(kPackBytes)));
  static constexpr int kMantissa = 23, kBias = 127;
};
template <>
struct Exponents<double> {
  typedef std::int64_t Vector __attribute__((vector_size(kPackBytes)));
  static constexpr int kMantissa = 52, kBias = 1023;
};
template <class T>
using Integers = typename Exponents<T>::Vector;

template <class T>
Integers<T> load(const CtcExponent<T>* p) {
  Integers<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
/// The exponents of a row lie among numbers of the same size.
template <class T>
Integers<T> load_exponents(const T* p) {
  Integers<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
void store(V v, void* p) {
  std::memcpy(p, &v, sizeof v);
}
template <class V>
V larger(V a, V b) {
  return a > b ? a : b;
}
template <class T>
Integers<T> all(std::int64_t value) {
  return static_cast<CtcExponent<T>>(value) - Integers<T>{};
}
template <class T>
Integers<T> bits_of(Pack<T> p) {
  Integers<T> bits;
  std::memcpy(&bits, &p.v, sizeof bits);
  return bits;
}

/// v with the halves of each group of 2 * kStep lanes exchanged.
template <int kStep, class V, int... kLane>
V exchange(V v, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(v, v, (kLane ^ kStep)...);
}
/// f over all lanes, in a tree; every lane of the result is it.
template <int kStep, class V, class F>
V across(V v, F&& f) {
  if constexpr (kStep == 0) {
    return v;
  } else {
    constexpr int lanes = static_cast<int>(sizeof(V) / sizeof(v[0]));
    return across<kStep / 2>(f(v, exchange<kStep>(v, std::make_integer_sequence<int, lanes>())), f);
  }
}
template <class V>
inline constexpr int kHalf = static_cast<int>(sizeof(V) / sizeof(V{}[0]) / 2);
template <class V>
V largest_of(V v) {
  return across<kHalf<V>>(v, [](V a, V b) { return larger(a, b); });
}
template <class T>
Pack<T> sum_of(Pack<T> p) {
  return across<kHalf<decltype(p.v)>>(p.v, [](auto a, auto b) { return a + b; });
}

template <class V, int... kLane>
constexpr V counting(std::integer_sequence<int, kLane...>) {
  return V{kLane...};
}
template <class T>
Integers<T> lane_numbers() {
  return counting<Integers<T>>(std::make_integer_sequence<int, Pack<T>::kLanes>());
}

/// What power() wants to know of the largest exponent of a sum.
template <class T>
Integers<T> base_of(Integers<T> top) {
  return top - Exponents<T>::kBias;
}
/// 2^(k - top) for k <= top; 0 below the range of numbers, as nothing there matters beside 1.
template <class T>
Pack<T> power(Integers<T> k, Integers<T> base) {
  const Integers<T> bits = larger(k - base, Integers<T>{}) << Exponents<T>::kMantissa;
  Pack<T> p;
  std::memcpy(&p.v, &bits, sizeof bits);
  return p;
}

template <class T>
struct Number {
  Pack<T> m;
  Integers<T> k;
};
template <class T>
Number<T> at(const T* row, std::int64_t m, std::int64_t k) {
  return {Pack<T>::load(row + m), load_exponents(row + k)};
}
template <class T>
Number<T> zero() {
  return {Pack<T>(T(0)), all<T>(kCtcDead)};
}
template <class T>
Number<T> operator+(Number<T> a, Number<T> b) {
  const Integers<T> k = larger(a.k, b.k);
  const Integers<T> base = base_of<T>(k);
  return {a.m * power<T>(a.k, base) + b.m * power<T>(b.k, base), k};
}
template <class T>
Number<T> sum(Number<T> a, Number<T> b, Number<T> c) {
  const Integers<T> k = larger(larger(a.k, b.k), c.k);
  const Integers<T> base = base_of<T>(k);
  return {a.m * power<T>(a.k, base) + b.m * power<T>(b.k, base) + c.m * power<T>(c.k, base), k};
}
template <class T>
void put(T* row, std::int64_t m, std::int64_t k, Number<T> value) {
  value.m.store(row + m);
  store(larger(value.k, all<T>(kCtcDead)), row + k);
}
template <class T>
Number<T> times(Number<T> a, Pack<T> m, Integers<T> k) {
  return {a.m * m, a.k + k};
}

/// Lanes kFirst, kFirst + 1, ... of two packs side by side. A load across two packs that were just stored would wait
/// for both to reach the cache.
template <int kFirst, class V, int... kLane>
V window(V low, V high, std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(low, high, (kFirst + kLane)...);
}
template <int kFirst, class T>
Number<T> window(Number<T> low, Number<T> high) {
  constexpr auto lanes = std::make_integer_sequence<int, Pack<T>::kLanes>();
  return {window<kFirst>(low.m.v, high.m.v, lanes), window<kFirst>(low.k, high.k, lanes)};
}

/// Elements `index` of two packs side by side.
template <class V, class I>
V lookup(V low, V high, I index) {
#if defined(__clang__)
  constexpr int lanes = static_cast<int>(sizeof(V) / sizeof(V{}[0]));
  V v;
  for (int lane = 0; lane < lanes; ++lane) {
    const auto i = index[lane];
    v[lane] = i < lanes ? low[i] : high[i - lanes];
  }
  return v;
#else
  return __builtin_shuffle(low, high, index);
#endif
}

/// e^r for |r| <= ln2 / 2: exp() without its reduction of the range. f32: Cephes' polynomial.
template <class T>
Pack<T> exp_of_rest(Pack<T> r) {
  if constexpr (sizeof(T) == 8) {
    return exp(r);
  } else {
    Pack<T> p = r * Pack<T>(1.9875691500e-4f) + Pack<T>(1.3981999507e-3f);
    p = p * r + Pack<T>(8.3334519073e-3f);
    p = p * r + Pack<T>(4.1665795894e-2f);
    p = p * r + Pack<T>(1.6666665459e-1f);
    p = p * r + Pack<T>(5.0000001201e-1f);
    return p * (r * r) + r + Pack<T>(1.f);
  }
}

/// e^x = m * 2^k with m in [0.70, 1.42], for |x| < 2^21.
template <class T>
Number<T> split(Pack<T> x) {
  constexpr T round = sizeof(T) == 4 ? T(12582912) : T(6755399441055744);  // 1.5 * 2^23, 2^52: leaves the integer
  const Pack<T> shifted = x * Pack<T>(T(1.44269504088896341)) + Pack<T>(round);
  const Pack<T> n = shifted - Pack<T>(round);
  const Pack<T> high(sizeof(T) == 4 ? T(0.693359375) : T(6.93147180369123816490e-01));
  const Pack<T> low(sizeof(T) == 4 ? T(-2.12194440e-4) : T(1.90821492927058770002e-10));
  const Pack<T> rest = x - n * high - n * low;
  return {exp_of_rest(rest), bits_of(shifted) - bits_of(Pack<T>(round))};
}

}  // namespace
}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
