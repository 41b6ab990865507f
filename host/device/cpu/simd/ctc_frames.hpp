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
constexpr T kFloor = sizeof(T) == 4 ? T(-87) : T(-700);

/// e^d for d <= 0, or e^kFloor where that is more: exp() with one guard less.
template <class T>
Pack<T> exp_below(Pack<T> d) {
  const Number<T> n = split(Pack<T>(larger(Pack<T>(kFloor<T>).v, d.v)));  // a NaN stays
  return n.m * power<T>(n.k, base_of<T>(all<T>(0)));
}
template <class T>
void softmax_sums(const T* x, std::int64_t count, T* largest, T* sum) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr T never = -static_cast<T>(__builtin_huge_val());
  if (count < lanes) {
    T few[lanes];
    for (std::int64_t i = 0; i < lanes; ++i) few[i] = i < count ? x[i] : never;
    return softmax_sums(few, lanes, largest, sum);
  }
  const std::int64_t whole = count / lanes * lanes;
  const Pack<T> last = Pack<T>::load(x + count - lanes);         // overlaps the whole packs
  const std::int64_t pairs = whole / (2 * lanes) * (2 * lanes);  // two chains: each waits for itself
  Pack<T> most = last, other = last;
  for (std::int64_t i = 0; i < pairs; i += 2 * lanes) {
    most.v = larger(Pack<T>::load(x + i).v, most.v);
    other.v = larger(Pack<T>::load(x + i + lanes).v, other.v);
  }
  if (pairs < whole) most.v = larger(Pack<T>::load(x + pairs).v, most.v);
  const Pack<T> shift(largest_of(larger(most.v, other.v))), none(T(0));
  const auto term = [&](Pack<T> v) {  // what is no number stays none
    const Pack<T> d = v - shift;
    return select(d.v <= kFloor<T>, none, exp_below(d));
  };
  Pack<T> sums = select(lane_numbers<T>() < all<T>(lanes - (count - whole)), none, term(last)), others = none;
  for (std::int64_t i = 0; i < pairs; i += 2 * lanes) {
    sums = sums + term(Pack<T>::load(x + i));
    others = others + term(Pack<T>::load(x + i + lanes));
  }
  if (pairs < whole) sums = sums + term(Pack<T>::load(x + pairs));
  *largest = shift.v[0];
  *sum = sum_of(sums + others).v[0];
}

/// y = scale * exp(x - largest); y may be x.
template <class T>
void softmax(const T* x, std::int64_t count, T largest, T scale, T* y) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const Pack<T> shift(largest), factor(scale);
  const auto value = [&](Pack<T> v) { return factor * exp_below(v - shift); };
  if (count < lanes) {
    T few[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) few[i] = x[i];
    value(Pack<T>::load(few)).store(few);
    for (std::int64_t i = 0; i < count; ++i) y[i] = few[i];
    return;
  }
  // The last pack overlaps the one before, so it is read first.
  const Pack<T> last = value(Pack<T>::load(x + count - lanes));
  for (std::int64_t i = 0; i + lanes < count; i += lanes) value(Pack<T>::load(x + i)).store(y + i);
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

/// Whole packs around the blanks and labels that a path can be in at some frame.
struct Range {
  std::int64_t begin = 0, end = 0;
};

/// By frame t, t + 1 states can have been entered; from it, as many as frames are left. Outside the sequence: all.
template <class T>
Range range_of(const CtcSource<T>& s, std::int64_t t) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  if (t < 0 || t >= s.frames) return {0, s.row.width};
  const std::int64_t first = s.U - s.frames + t, last = t < s.U ? t : s.U;
  return {first > 0 ? first / lanes * lanes : 0, (last / lanes + 1) * lanes};
}

/// Frames lie far apart, and the processor does not guess where the next one is: all of a short one, or the beginning,
/// from where it does. Inlined always: GCC leaves out the call of a function that does nothing else.
template <class T>
[[gnu::always_inline]] inline void fetch(const CtcSource<T>& s, std::int64_t t) {
  if (t < 0 || t >= s.frames) return;
  const char* x = reinterpret_cast<const char*>(s.x + t * s.stride);
  const std::int64_t bytes = s.C * static_cast<std::int64_t>(sizeof(T)) + 63;
  for (std::int64_t i = 0; i < (bytes < 512 ? bytes : 512); i += 64) __builtin_prefetch(x + i);
}
constexpr std::int64_t kAhead = 8;  // frames

/// Writes the emissions of the labels in a range, whose numbers f(i) gives by pack; behind the last label is 0.
template <class T, class F>
void put_labels(const CtcSource<T>& s, Range range, CtcEmission<T>& e, F&& f) {
  for (std::int64_t i = range.begin; i < range.end; i += Pack<T>::kLanes) {
    const Number<T> n = f(i);
    const auto label = lane_numbers<T>() < all<T>(s.U - i);
    select(label, n.m, Pack<T>(T(0))).store(e.m + i);
    store(label ? n.k : all<T>(kCtcDead), e.k + i);
  }
}

/// Any frame: the columns that the target names.
template <class T>
void read_columns(const CtcSource<T>& s, const T* x, Range range, CtcEmission<T>& e) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr T never = -static_cast<T>(__builtin_huge_val()), floor = T(-2e6);  // too small to be told from 0
  const std::int64_t last = range.end < s.U ? range.end : s.U;
  const T blank = x[s.classes[s.U]];
  for (std::int64_t i = range.begin; i < last; ++i) e.m[i] = x[s.classes[i]];
  for (std::int64_t i = last; i < range.end; ++i) e.m[i] = never;
  Pack<T> most(blank);
  for (std::int64_t i = range.begin; i < range.end; i += lanes) most.v = larger(Pack<T>::load(e.m + i).v, most.v);
  if (s.log_probs) {  // anything but NaN and +infinity will do
    bool legal = blank < -never;
    for (std::int64_t i = range.begin; i < last; ++i) legal = legal && e.m[i] < -never;
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
  put_labels(s, range, e, [&](std::int64_t i) { return number(Pack<T>::load(e.m + i)); });
  const Number<T> of_blank = number(Pack<T>(blank));
  e.blank_m = of_blank.m.v[0];
  e.blank_k = of_blank.k[0];
  e.scale = static_cast<double>(shift) + static_cast<double>(power[0]) * 0.693147180559945309417 + factor_scale<T>();
}

/// Any frame. @param exps  null or where exp(x - largest) goes
template <class T>
[[gnu::noinline]] void read_long(const CtcSource<T>& s, std::int64_t t, CtcEmission<T>& e, T* exps) {
  const T* x = s.x + t * s.stride;
  if (s.log_probs) {
    read_columns(s, x, range_of(s, t), e);
    return;
  }
  if (s.read && s.largest && short_packs<T>(s.C) == 0) {
    e.largest = s.largest[t * s.statistic];
    e.sum = s.sum[t * s.statistic];
  } else {
    softmax_sums(x, s.C, &e.largest, &e.sum);
    if (s.largest && !s.read) {
      s.largest[t * s.statistic] = e.largest;
      s.sum[t * s.statistic] = e.sum;
    }
  }
  read_columns(s, x, range_of(s, t), e);
  if (exps) softmax(x, s.C, e.largest, T(1), exps);
}

/// A frame of kPacks packs whose numbers are moderate: one exponential a class serves softmax and emissions.
/// @param exps  null or where exp(x) goes; may be x  @return false, with nothing written, for another frame
template <int kPacks, class T>
[[gnu::always_inline]] inline bool read_short(const CtcSource<T>& s, const T* x, Range range, CtcEmission<T>& e,
                                              T* exps) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  constexpr std::int64_t kMost = 96;  // powers of two within which numbers and their sums are in range
  constexpr T most = T(66);           // less than ln 2^kMost
  const bool few = kPacks == 1 && s.C < lanes;
  Number<T> n[kPacks];
  Pack<T> y[kPacks];
  auto moderate = Integers<T>{} == Integers<T>{};
  for (int p = 0; p < kPacks; ++p) {
    Pack<T> v;
    if (few) {
      T padded[lanes] = {};
      for (std::int64_t i = 0; i < s.C; ++i) padded[i] = x[i];
      v = Pack<T>::load(padded);
    } else {
      v = Pack<T>::load(p == kPacks - 1 ? x + s.C - lanes : x + p * lanes);
    }
    const auto in_range = (v.v <= most) & (v.v >= -most);
    moderate &= in_range;
    n[p] = split(select(in_range, v, Pack<T>(T(0))));
    const Integers<T> bits = bits_of(n[p].m) + (n[p].k << Exponents<T>::kMantissa);
    std::memcpy(&y[p].v, &bits, sizeof bits);
    n[p].k -= all<T>(kMost);  // emissions are below 1: exponents of a row never rise above 0
  }
  const std::int64_t first = few ? 0 : kPacks * lanes - s.C, count = few ? s.C : lanes;
  const auto mine = (lane_numbers<T>() >= all<T>(first)) & (lane_numbers<T>() < all<T>(count));
  Pack<T> total = select(mine, y[kPacks - 1], Pack<T>(T(0)));
  for (int p = 0; p < kPacks - 1; ++p) total = total + y[p];
  total = select(moderate, total, Pack<T>(static_cast<T>(__builtin_nan(""))));
  const T sum = sum_of(total).v[0];
  if (!(sum > T(0))) return false;
  e.largest = 0;
  e.sum = sum;
  e.scale = factor_scale<T>() + static_cast<double>(kMost) * 0.693147180559945309417;
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
  put_labels(s, range, e, [&](std::int64_t i) { return find(load<T>(s.places + i)); });
  const Number<T> blank = find(all<T>(s.places[s.U]));
  e.blank_m = blank.m.v[0];
  e.blank_k = blank.k[0];
  if (!exps) return true;
  if (few) {
    T padded[lanes];
    y[0].store(padded);
    for (std::int64_t i = 0; i < s.C; ++i) exps[i] = padded[i];
    return true;
  }
  for (int p = 0; p < kPacks; ++p) y[p].store(p == kPacks - 1 ? exps + s.C - lanes : exps + p * lanes);
  return true;
}

template <int kPacks, class T>
void read_all(const CtcSource<T>& given, const CtcBlock<T>& block, bool up, T* gradient) {
  const CtcSource<T> s = given;  // of our own: stores do not change it
  const std::int64_t step = up ? 1 : -1;
  std::int64_t t = up ? block.begin : block.end - 1;
  for (std::int64_t left = block.frames(); left > 0; --left, t += step) {
    CtcEmission<T>& e = block.emissions[t - block.begin];
    T* exps = gradient && kPacks > 0 && !s.log_probs ? gradient + t * s.stride : nullptr;
    if constexpr (kPacks > 0) {
      fetch(s, t + kAhead * step);
      if (read_short<kPacks>(s, s.x + t * s.stride, range_of(s, t), e, exps)) continue;
    } else if (!s.read) {
      fetch(s, t + step);
    }
    read_long(s, t, e, exps);
  }
}

template <class T>
void read(const CtcSource<T>& s, const CtcBlock<T>& block, bool up, T* gradient) {
  switch (s.log_probs ? 0 : short_packs<T>(s.C)) {
    case 1: return read_all<1>(s, block, up, gradient);
    case 2: return read_all<2>(s, block, up, gradient);
    case 3: return read_all<3>(s, block, up, gradient);
    case 4: return read_all<4>(s, block, up, gradient);
    default: return read_all<0>(s, block, up, gradient);
  }
}

}  // namespace
}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
