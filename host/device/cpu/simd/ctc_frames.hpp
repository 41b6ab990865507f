#pragma once

#include "device/cpu/simd/ctc_numbers.hpp"

// A frame of x: its softmax, and what its classes emit.
namespace seqgpu::device::cpu::SEQGPU_SIMD {
namespace {

// Emissions of exactly 1 would leave the roundings of the sums alike from frame to frame, and they add up.
template <class T>
constexpr T kFactor = T(1.1);
template <class T>
double factor_scale() {
  return -__builtin_log(static_cast<double>(kFactor<T>));
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
  *sum = sum_of(sums).v[0];
}

/// y = scale * exp(x - largest); y may be x.
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
  // The last pack overlaps the one before, so it is read first.
  const Pack<T> last = factor * exp(Pack<T>::load(x + count - lanes) - shift);
  for (std::int64_t i = 0; i + lanes < count; i += lanes) (factor * exp(Pack<T>::load(x + i) - shift)).store(y + i);
  last.store(y + count - lanes);
}

template <class T>
void scale_row(T* y, std::int64_t count, T scale) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  if (count < lanes) {
    for (std::int64_t i = 0; i < count; ++i) y[i] *= scale;
    return;
  }
  const Pack<T> factor(scale), last = Pack<T>::load(y + count - lanes) * factor;
  for (std::int64_t i = 0; i + lanes < count; i += lanes) (Pack<T>::load(y + i) * factor).store(y + i);
  last.store(y + count - lanes);
}

/// Packs of a short frame, which is held in registers: at most 4. 0 for others.
template <class T>
std::int64_t short_packs(std::int64_t C) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  return C <= 4 * lanes ? (C + lanes - 1) / lanes : 0;
}

/// The last pack of a short frame overlaps the one before.
template <class T>
void places(std::int64_t C, const std::int32_t* classes, std::int64_t count, CtcExponent<T>* to) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t packs = short_packs<T>(C), last = (packs - 1) * lanes, moved = C < lanes ? 0 : packs * lanes - C;
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = static_cast<CtcExponent<T>>(classes[i] < last ? classes[i] : classes[i] + moved);
  }
}

/// Writes label emissions [begin, end), whose numbers f(i) gives by pack; behind the last label is 0.
template <class T, class F>
void put_labels(const CtcSource<T>& s, std::int64_t begin, std::int64_t end, CtcEmission<T>& e, F&& f) {
  for (std::int64_t i = begin; i < end; i += Pack<T>::kLanes) {
    const Number<T> n = f(i);
    const auto label = lane_numbers<T>() < all<T>(s.U - i);
    select(label, n.m, Pack<T>(T(0))).store(e.m + i);
    store(label ? n.k : all<T>(kCtcDead), e.k + i);
  }
}

/// A frame of kPacks packs whose numbers are moderate: one exponential a class serves softmax and emissions.
/// @param exps  null or where exp(x) goes; may be x  @return false, with nothing written, for another frame
template <int kPacks, class T>
bool read_short(const CtcSource<T>& s, const T* x, std::int64_t begin, std::int64_t end, CtcEmission<T>& e, T* exps) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr int kMost = 96;  // sums of numbers up to 2^96 are in range
  constexpr T nan = static_cast<T>(__builtin_nan(""));
  const bool few = s.C < lanes;
  T padded[lanes] = {};
  if (few) {
    for (std::int64_t i = 0; i < s.C; ++i) padded[i] = x[i];
  }
  Number<T> n[kPacks];
  Pack<T> y[kPacks], total(T(0));
  for (int p = 0; p < kPacks; ++p) {
    const bool last = p == kPacks - 1;
    n[p] = split(few ? Pack<T>::load(padded) : Pack<T>::load(x + (last ? s.C - lanes : p * lanes)));
    y[p] = n[p].m * power<T>(n[p].k, base_of<T>(all<T>(0)));
    y[p] = select(larger(n[p].k, -n[p].k) <= all<T>(kMost), y[p], Pack<T>(nan));
    Pack<T> counted = y[p];
    if (last) {
      const std::int64_t first = few ? 0 : kPacks * lanes - s.C, count = few ? s.C : lanes;
      const auto mine = (lane_numbers<T>() >= all<T>(first)) & (lane_numbers<T>() < all<T>(count));
      counted = select(mine, counted, Pack<T>(T(0)));
    }
    total = total + counted;
  }
  const T sum = sum_of(total).v[0];
  if (!(sum > T(0))) return false;
  e.largest = 0;
  e.sum = sum;
  for (Number<T>& each : n) each.m = each.m * Pack<T>(kFactor<T>);
  const auto find = [&](Integers<T> index) -> Number<T> {
    constexpr int second = kPacks > 1 ? 1 : 0, third = kPacks > 2 ? 2 : 0, fourth = kPacks > 3 ? 3 : third;
    const Number<T> low{lookup(n[0].m.v, n[second].m.v, index), lookup(n[0].k, n[second].k, index)};
    if constexpr (kPacks <= 2) {
      return low;
    } else {
      const auto in_low = index < all<T>(2 * lanes);
      index &= all<T>(2 * lanes - 1);
      const Number<T> high{lookup(n[third].m.v, n[fourth].m.v, index), lookup(n[third].k, n[fourth].k, index)};
      return {select(in_low, low.m, high.m), in_low ? low.k : high.k};
    }
  };
  put_labels(s, begin, end, e, [&](std::int64_t i) { return find(load<T>(s.places + i)); });
  const Number<T> blank = find(all<T>(s.places[s.U]));
  e.blank_m = blank.m.v[0];
  e.blank_k = blank.k[0];
  if (!exps) return true;
  if (few) {
    y[0].store(padded);
    for (std::int64_t i = 0; i < s.C; ++i) exps[i] = padded[i];
    return true;
  }
  for (int p = 0; p < kPacks; ++p) y[p].store(exps + (p == kPacks - 1 ? s.C - lanes : p * lanes));
  return true;
}

/// Any frame: the columns that the target names. @return ln of what the emissions lack
template <class T>
double read_columns(const CtcSource<T>& s, const T* x, std::int64_t begin, std::int64_t end, CtcEmission<T>& e) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr T never = -static_cast<T>(__builtin_huge_val()), floor = T(-2e6);  // too small to be told from 0
  const std::int64_t last = end < s.U ? end : s.U;
  const T blank = x[s.classes[s.U]];
  for (std::int64_t i = begin; i < last; ++i) e.m[i] = x[s.classes[i]];
  for (std::int64_t i = last; i < end; ++i) e.m[i] = never;
  Pack<T> most(blank);
  for (std::int64_t i = begin; i < end; i += lanes) most.v = larger(Pack<T>::load(e.m + i).v, most.v);
  if (s.log_probs) {
    // A log-probability may be anything but NaN and +infinity.
    bool legal = blank < -never;
    for (std::int64_t i = begin; i < last; ++i) legal = legal && e.m[i] < -never;
    e.largest = 0;
    e.sum = legal ? T(1) : static_cast<T>(__builtin_nan(""));
  }
  // A moderate frame is taken as it is: subtracting its largest would round.
  most.v = largest_of(most.v);
  const T top = most.v[0], shift = top < T(1024) && top > T(-1024) ? T(0) : top;
  const Integers<T> power = split(most - Pack<T>(shift)).k;
  const auto number = [&](Pack<T> column) -> Number<T> {
    const Pack<T> moved = column - Pack<T>(shift);
    const auto live = moved.v > floor;
    const Number<T> n = split(select(live, moved, Pack<T>(T(0))));
    return {select(live, n.m * Pack<T>(kFactor<T>), Pack<T>(T(0))), live ? n.k - power : all<T>(kCtcDead)};
  };
  put_labels(s, begin, end, e, [&](std::int64_t i) { return number(Pack<T>::load(e.m + i)); });
  const Number<T> of_blank = number(Pack<T>(blank));
  e.blank_m = of_blank.m.v[0];
  e.blank_k = of_blank.k[0];
  return static_cast<double>(shift) + static_cast<double>(power[0]) * 0.693147180559945309417;
}

/// Frame t, for the labels [begin, end). @param exps  null or, if frames are short, where exp(x - largest) goes
/// @return e^-scale is what emissions would have to be multiplied with
template <class T>
double read_frame(const CtcSource<T>& s, std::int64_t t, std::int64_t begin, std::int64_t end, CtcEmission<T>& e,
                  T* exps) {
  const T* x = s.x + t * s.stride;
  const std::int64_t packs = s.log_probs ? 0 : short_packs<T>(s.C);
  const auto try_short = [&] {
    switch (packs) {
      case 1: return read_short<1>(s, x, begin, end, e, exps);
      case 2: return read_short<2>(s, x, begin, end, e, exps);
      case 3: return read_short<3>(s, x, begin, end, e, exps);
      case 4: return read_short<4>(s, x, begin, end, e, exps);
      default: return false;
    }
  };
  if (try_short()) return factor_scale<T>();
  if (!s.log_probs) {
    if (s.read && s.largest && packs == 0) {
      e.largest = s.largest[t * s.statistic];
      e.sum = s.sum[t * s.statistic];
    } else {
      softmax_sums(x, s.C, &e.largest, &e.sum);
      if (s.largest && !s.read) {
        s.largest[t * s.statistic] = e.largest;
        s.sum[t * s.statistic] = e.sum;
      }
    }
  }
  const double scale = read_columns(s, x, begin, end, e) + factor_scale<T>();
  if (packs > 0 && exps) softmax(x, s.C, e.largest, T(1), exps);
  return scale;
}

}  // namespace
}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
