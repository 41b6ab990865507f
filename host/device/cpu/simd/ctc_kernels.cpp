#include "device/cpu/ctc_kernels.hpp"

#include <utility>

#include "device/cpu/simd/pack.hpp"

// Compiled once per instruction set. The recursion: Graves et al. 2006, equations 6 to 11, with beta as there but for
// the emission at t, which is multiplied in after the posterior has been taken.
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
T sum_of(Pack<T> p) {
  return across<kHalf<decltype(p.v)>>(p.v, [](auto a, auto b) { return a + b; })[0];
}

template <class T>
Integers<T> lane_numbers() {
  Integers<T> v;
  for (int lane = 0; lane < Pack<T>::kLanes; ++lane) v[lane] = lane;
  return v;
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

template <class T>
void alpha(CtcRow<T> row, const CtcExponent<T>* skip, const CtcEmission<T>& e, const T* from, T* to) {
  const Pack<T> blank_m(e.blank_m);
  const Integers<T> blank_k = all<T>(e.blank_k);
  const std::int64_t bm = row.blank_m(), lm = row.label_m(), bk = row.blank_k(), lk = row.label_k();
  Number<T> last{Pack<T>(T(0)), all<T>(kCtcDead)};
  for (std::int64_t i = 0; i < row.width; i += Pack<T>::kLanes) {
    const Number<T> blank = at(from, bm + i, bk + i), label = at(from, lm + i, lk + i);
    Number<T> before = window<Pack<T>::kLanes - 1>(last, label);
    last = label;
    put(to, bm + i, bk + i, times(blank + before, blank_m, blank_k));
    before.k += load<T>(skip + i);
    put(to, lm + i, lk + i, times(sum(label, blank, before), Pack<T>::load(e.m + i), load<T>(e.k + i)));
  }
}

/// Products into posteriors: relative to the largest exponent, then divided by their sum. @return the sum of blanks'
template <class T>
T finish(std::int64_t width, Integers<T> largest, const CtcPosterior<T>& p) {
  const Integers<T> base = base_of<T>(largest_of(largest));
  Pack<T> blanks(T(0)), labels(T(0));
  for (std::int64_t i = 0; i < width; i += Pack<T>::kLanes) {
    const Pack<T> blank = Pack<T>::load(p.blank + i) * power<T>(load<T>(p.blank_k + i), base);
    const Pack<T> label = Pack<T>::load(p.label + i) * power<T>(load<T>(p.label_k + i), base);
    blank.store(p.blank + i);
    label.store(p.label + i);
    blanks = blanks + blank;
    labels = labels + label;
  }
  const T of_blanks = sum_of(blanks), of_labels = sum_of(labels);
  const T inverse = T(1) / (of_blanks + of_labels);
  for (std::int64_t i = 0; i < width; i += Pack<T>::kLanes) {
    (Pack<T>::load(p.blank + i) * inverse).store(p.blank + i);
    (Pack<T>::load(p.label + i) * inverse).store(p.label + i);
  }
  return of_blanks * inverse;
}

template <class T>
T beta(CtcRow<T> row, const CtcExponent<T>* skip, const CtcEmission<T>& e, const T* from, T* to, const T* alphas,
       const CtcPosterior<T>* p) {
  const Pack<T> blank_m(e.blank_m);
  const Integers<T> blank_k = all<T>(e.blank_k);
  const std::int64_t bm = row.blank_m(), lm = row.label_m(), bk = row.blank_k(), lk = row.label_k();
  Integers<T> largest = all<T>(2 * kCtcDead);
  Number<T> blank = at(from, bm, bk), label = at(from, lm, lk);
  for (std::int64_t i = 0; i < row.width; i += Pack<T>::kLanes) {
    const std::int64_t next = i + Pack<T>::kLanes;  // behind the last pack, a guard
    const Number<T> blanks = at(from, bm + next, bk + next), labels = at(from, lm + next, lk + next);
    const Number<T> next_blank = window<1>(blank, blanks);
    Number<T> next_label = window<1>(label, labels);
    next_label.k += load<T>(skip + i + 1);
    const Number<T> to_blank = blank + label, to_label = sum(label, next_blank, next_label);
    blank = blanks;
    label = labels;
    put(to, bm + i, bk + i, times(to_blank, blank_m, blank_k));
    put(to, lm + i, lk + i, times(to_label, Pack<T>::load(e.m + i), load<T>(e.k + i)));
    if (!p) continue;
    const Number<T> a = at(alphas, bm + i, bk + i), b = at(alphas, lm + i, lk + i);
    const Integers<T> blank_power = a.k + larger(to_blank.k, all<T>(kCtcDead));
    const Integers<T> label_power = b.k + larger(to_label.k, all<T>(kCtcDead));
    (a.m * to_blank.m).store(p->blank + i);
    (b.m * to_label.m).store(p->label + i);
    store(blank_power, p->blank_k + i);
    store(label_power, p->label_k + i);
    largest = larger(largest, larger(blank_power, label_power));
  }
  return p ? finish(row.width, largest, *p) : T(0);
}

template <class T>
std::int64_t normalise(CtcRow<T> row, T* values) {
  using E = Exponents<T>;
  Integers<T> largest = all<T>(kCtcDead);
  const auto each = [&](auto&& f) {
    for (int part = 0; part < 2; ++part) {
      T *m = values + row.part(part), *k = values + row.part(part + 2);
      for (std::int64_t i = 0; i < row.width; i += Pack<T>::kLanes) f(m + i, k + i);
    }
  };
  each([&](T* m, T* k) {
    constexpr CtcExponent<T> one = static_cast<CtcExponent<T>>(E::kBias) << E::kMantissa;
    constexpr CtcExponent<T> mantissa = (CtcExponent<T>{1} << E::kMantissa) - 1;
    const Pack<T> value = Pack<T>::load(m);
    Integers<T> bits, exponent = load_exponents(k);
    std::memcpy(&bits, &value.v, sizeof bits);
    exponent += (bits >> E::kMantissa) - E::kBias;
    const auto live = value.v > T(0) && exponent > all<T>(kCtcLive);
    bits = live ? (bits & mantissa) | one : all<T>(0);
    exponent = live ? exponent : all<T>(kCtcDead);
    store(bits, m);
    store(exponent, k);
    largest = larger(largest, exponent);
  });
  const CtcExponent<T> top = largest_of(largest)[0];
  if (top <= kCtcLive) return 0;
  each([&](T*, T* k) { store(larger(load_exponents(k) - top, all<T>(kCtcDead)), k); });
  return top;
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
  Integers<T> bits, zero;
  const Pack<T> origin(round);
  std::memcpy(&bits, &shifted.v, sizeof bits);
  std::memcpy(&zero, &origin.v, sizeof zero);
  return {exp_of_rest(rest), bits - zero};
}

template <class T>
void emissions(const T* x, std::int64_t labels, std::int64_t width, CtcEmission<T>* e) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr T never = -static_cast<T>(__builtin_huge_val()), floor = T(-2e6);  // too small to be told from 0
  // Emissions of exactly 1 would leave the roundings of the sums alike from frame to frame, and they add up.
  constexpr T kFactor = T(1.1);
  const auto columns = [&](std::int64_t i) {  // the next frame's lie behind them
    return select(lane_numbers<T>() <= all<T>(labels - i), Pack<T>::load(x + i), Pack<T>(never));
  };
  Pack<T> most(never);
  for (std::int64_t i = 0; i < width; i += lanes) most.v = larger(most.v, columns(i).v);
  most.v = largest_of(most.v);
  // A moderate frame is taken as it is: subtracting its largest would round.
  const T top = most.v[0], shift = top < T(1024) && top > T(-1024) ? T(0) : top;
  const Integers<T> power = split(most - Pack<T>(shift)).k;
  for (std::int64_t i = 0; i < width; i += lanes) {
    const Pack<T> moved = columns(i) - Pack<T>(shift);
    const auto live = moved.v > floor;
    const Number<T> n = split(select(live, moved, Pack<T>(T(0))));
    select(live, n.m * Pack<T>(kFactor), Pack<T>(T(0))).store(e->m + i);
    store(live ? n.k - power : all<T>(kCtcDead), e->k + i);
  }
  e->blank_m = e->m[labels];
  e->blank_k = e->k[labels];
  e->m[labels] = 0;
  e->k[labels] = static_cast<CtcExponent<T>>(kCtcDead);
  e->scale = static_cast<double>(shift) + static_cast<double>(power[0]) * 0.693147180559945309417 -
             __builtin_log(static_cast<double>(kFactor));
}

template <class T>
void softmax_sums(const T* x, std::int64_t count, T* largest, T* sum) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr T never = -static_cast<T>(__builtin_huge_val());
  constexpr T floor = sizeof(T) == 4 ? T(-87) : T(-700);  // exp saturates: -infinity would give 1e-38
  if (count < lanes) {
    T few[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) few[i] = i < count ? x[i] : never;
    return softmax_sums(few, lanes, largest, sum);
  }
  const std::int64_t whole = count / lanes * lanes;
  const Pack<T> last = Pack<T>::load(x + count - lanes);  // overlaps the whole packs
  Pack<T> most = last;
  for (std::int64_t i = 0; i < whole; i += lanes) most.v = larger(Pack<T>::load(x + i).v, most.v);
  const Pack<T> shift(largest_of(most.v)), none(T(0));
  const auto term = [&](Pack<T> v) {  // what is no number stays none
    const Pack<T> d = v - shift;
    return select(d.v <= floor, none, exp(d));
  };
  Pack<T> sums = select(lane_numbers<T>() < all<T>(lanes - (count - whole)), none, term(last));
  for (std::int64_t i = 0; i < whole; i += lanes) sums = sums + term(Pack<T>::load(x + i));
  *largest = shift.v[0];
  *sum = sum_of(sums);
}

template <class T>
void softmax(const T* x, std::int64_t count, T largest, T scale, T* y) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const Pack<T> shift(largest), factor(scale);
  if (count < lanes) {
    T few[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) few[i] = x[i];
    (factor * exp(Pack<T>::load(few) - shift)).store(few);
    for (std::int64_t i = 0; i < count; ++i) y[i] = few[i];
    return;
  }
  // The last pack overlaps the one before; y may be x, so it is read first.
  const Pack<T> last = factor * exp(Pack<T>::load(x + count - lanes) - shift);
  for (std::int64_t i = 0; i + lanes < count; i += lanes) (factor * exp(Pack<T>::load(x + i) - shift)).store(y + i);
  last.store(y + count - lanes);
}

template <class T>
constexpr CtcKernels<T> kTable{softmax_sums<T>, softmax<T>, emissions<T>, alpha<T>, beta<T>, normalise<T>};

}  // namespace

extern const CtcKernels<float> kCtcF32;
extern const CtcKernels<double> kCtcF64;
const CtcKernels<float> kCtcF32 = kTable<float>;
const CtcKernels<double> kCtcF64 = kTable<double>;

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
