#include "device/cpu/ctc_kernels.hpp"

#include "device/cpu/simd/ctc_frames.hpp"

// Compiled once per instruction set. The recursion: Graves et al. 2006, equations 6 to 11, with beta as there but for
// the emission at t, which is multiplied in after the posterior has been taken.
namespace seqgpu::device::cpu::SEQGPU_SIMD {
namespace {

template <class T>
void put_zeros(CtcRow row, T* values, std::int64_t i) {
  put(values, row.blank_m() + i, row.blank_k() + i, zero<T>());
  put(values, row.label_m() + i, row.label_k() + i, zero<T>());
}

template <class T>
std::int64_t normalise(const CtcSource<T>& s, std::int64_t t, T* values) {
  using E = Exponents<T>;
  const Range range = range_of(s, t);
  Integers<T> largest = all<T>(kCtcDead);
  const auto each = [&](auto&& f) {
    for (int part = 0; part < 2; ++part) {
      T *m = values + s.row.part(part), *k = values + s.row.part(part + 2);
      for (std::int64_t i = range.begin; i < range.end; i += Pack<T>::kLanes) f(m + i, k + i);
    }
  };
  each([&](T* m, T* k) {
    constexpr CtcExponent<T> one = static_cast<CtcExponent<T>>(E::kBias) << E::kMantissa;
    constexpr CtcExponent<T> mantissa = (CtcExponent<T>{1} << E::kMantissa) - 1;
    const Pack<T> value = Pack<T>::load(m);
    Integers<T> bits = bits_of(value), exponent = load_exponents(k);
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

/// Alpha at t but for what t emits, from alpha at t - 1: calls to_blank(i, sum) and to_label(i, sum) for each pack. The
/// blanks are stored before the labels are summed: the other way round the next frame waits for them.
template <class T, class Blank, class Label>
void alpha_sums(const CtcSource<T>& s, std::int64_t t, const T* from, Blank&& to_blank, Label&& to_label) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t bm = s.row.blank_m(), lm = s.row.label_m(), bk = s.row.blank_k(), lk = s.row.label_k();
  const Range range = range_of(s, t), old = range_of(s, t - 1);
  Number<T> last = zero<T>();
  if (range.begin > old.begin) last = at(from, lm + range.begin - lanes, lk + range.begin - lanes);
  for (std::int64_t i = range.begin; i < range.end; i += lanes) {
    const Number<T> blank = at(from, bm + i, bk + i), label = at(from, lm + i, lk + i);
    Number<T> before = window<Pack<T>::kLanes - 1>(last, label);
    last = label;
    to_blank(i, blank + before);
    before.k += load<T>(s.skip + i);
    to_label(i, sum(label, blank, before));
  }
}

/// The same of beta at t, from beta at t + 1 times what t + 1 emits.
template <class T, class Blank, class Label>
void beta_sums(const CtcSource<T>& s, std::int64_t t, const T* from, Blank&& to_blank, Label&& to_label) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t bm = s.row.blank_m(), lm = s.row.label_m(), bk = s.row.blank_k(), lk = s.row.label_k();
  const Range range = range_of(s, t), old = range_of(s, t + 1);
  Number<T> blank = at(from, bm + range.begin, bk + range.begin), label = at(from, lm + range.begin, lk + range.begin);
  for (std::int64_t i = range.begin; i < range.end; i += lanes) {
    const std::int64_t next = i + lanes;
    const bool more = next < old.end;
    const Number<T> blanks = more ? at(from, bm + next, bk + next) : zero<T>();
    const Number<T> labels = more ? at(from, lm + next, lk + next) : zero<T>();
    const Number<T> next_blank = window<1>(blank, blanks);
    Number<T> next_label = window<1>(label, labels);
    next_label.k += load<T>(s.skip + i + 1);
    const Number<T> of_blank = blank + label, of_label = sum(label, next_blank, next_label);
    blank = blanks;
    label = labels;
    to_blank(i, of_blank);
    to_label(i, of_label);
  }
}

/// Products of alpha and beta at a frame, about to become posteriors.
template <class T>
struct Products {
  const T* other;  // row of the recursion that is not stepping
  T *blank, *label;
  Integers<T> base;                    // of the exponents, so that products sum to about 1
  Pack<T> blanks{T(0)}, labels{T(0)};  // sums
};

template <class T>
Integers<T> added(Integers<T> a, Integers<T> b) {
  return larger(a + larger(b, all<T>(kCtcDead)), all<T>(kCtcDead));
}

/// The row at t of alpha, or of beta times what t emits, from the row before or behind it. One of the two that make a
/// product has t's emission, so it is taken before that is multiplied in.
template <bool kAlpha, bool kProducts, class T>
void step(const CtcSource<T>& s, std::int64_t t, const CtcEmission<T>& e, const T* from, T* to, Products<T>* p) {
  const Pack<T> blank_m(e.blank_m);
  const Integers<T> blank_k = all<T>(e.blank_k);
  const std::int64_t bm = s.row.blank_m(), lm = s.row.label_m(), bk = s.row.blank_k(), lk = s.row.label_k();
  const auto product = [&](Number<T> a, Number<T> b) { return a.m * b.m * power<T>(added<T>(a.k, b.k), p->base); };
  const auto to_blank = [&](std::int64_t i, Number<T> sum) {
    put(to, bm + i, bk + i, times(sum, blank_m, blank_k));
    if constexpr (kProducts) {
      const Pack<T> of_blank = product(at(p->other, bm + i, bk + i), sum);
      of_blank.store(p->blank + i);
      p->blanks = p->blanks + of_blank;
    }
  };
  const auto to_label = [&](std::int64_t i, Number<T> sum) {
    put(to, lm + i, lk + i, times(sum, Pack<T>::load(e.m + i), load<T>(e.k + i)));
    if constexpr (kProducts) {
      const Pack<T> of_label = product(at(p->other, lm + i, lk + i), sum);
      of_label.store(p->label + i);
      p->labels = p->labels + of_label;
    }
  };
  const Range range = range_of(s, t);
  if constexpr (kAlpha) {
    alpha_sums(s, t, from, to_blank, to_label);
    if (range.end < s.row.width) put_zeros(s.row, to, range.end);
  } else {
    beta_sums(s, t, from, to_blank, to_label);
    if (range.begin > 0) put_zeros(s.row, to, range.begin - Pack<T>::kLanes);
  }
}

/// @tparam kKeep  again(), else walk()
template <bool kAlpha, bool kKeep, class T>
void walk_by(const CtcSource<T>& s, CtcBlock<T>* block) {
  const std::int64_t frames = block->frames();
  std::int64_t power = block->power;
  double scale = block->scale, product = 1;
  const T* from = block->entry;
  T* to = nullptr;
  for (std::int64_t k = 0; k < frames; ++k, from = to) {
    const std::int64_t t = kAlpha ? block->begin + k : block->end - 1 - k;
    const CtcEmission<T>& e = block->emissions[t - block->begin];
    if (k > 0 && k % kCtcNormalise == 0) power += normalise(s, kAlpha ? t - 1 : t + 1, to);
    if constexpr (kKeep) {
      if (k > 0) block->powers[k - 1] = power;
      to = block->rows + k * s.row.elements();
    } else {
      scale += e.scale - static_cast<double>(e.largest);
      product *= static_cast<double>(e.sum);
      if (k % 8 == 7) {  // a logarithm for 8 frames: their sums' product is below 2^1000
        scale -= __builtin_log(product);
        product = 1;
      }
      to = k + 1 == frames ? block->exit : block->rows + k % 2 * s.row.elements();
    }
    step<kAlpha, false, T>(s, t, e, from, to, nullptr);
  }
  if constexpr (kKeep) {
    block->powers[frames - 1] = power;
  } else {
    block->power = power + normalise(s, kAlpha ? block->end - 1 : block->begin, to);
    block->scale = scale - __builtin_log(product);
  }
}
template <class T>
void walk(const CtcSource<T>& s, CtcBlock<T>* block) {
  return block->half == CtcHalf::first ? walk_by<true, false>(s, block) : walk_by<false, false>(s, block);
}
template <class T>
void again(const CtcSource<T>& s, CtcBlock<T>* block) {
  return block->half == CtcHalf::first ? walk_by<true, true>(s, block) : walk_by<false, true>(s, block);
}

/// Products at t into what is wanted of them: each divided by the sum of all, so that the frame's sum to 1.
template <class T>
[[gnu::always_inline]] inline void write(const CtcSource<T>& s, std::int64_t t, const CtcEmission<T>& e,
                                         const Products<T>& p, const CtcOutputs<T>& o) {
  const Range range = range_of(s, t);
  const std::int64_t last = range.end < s.U ? range.end : s.U;
  const T blanks = sum_of(p.blanks).v[0], total = blanks + sum_of(p.labels).v[0];
  const auto divide = [&](T* values) {  // a product with 1 / total would miss 1 where there is but one path
    for (std::int64_t i = range.begin; i < range.end; i += Pack<T>::kLanes) {
      (Pack<T>::load(values + i) / Pack<T>(total)).store(values + i);
    }
  };
  divide(p.label);
  const auto add_by_class = [&](T* to, T factor) {
    to[s.classes[s.U]] += blanks / total * factor;
    for (std::int64_t u = range.begin; u < last; ++u) to[s.classes[u]] += p.label[u] * factor;
  };
  if (o.gradient) {
    T* to = o.gradient + t * s.stride;
    if (s.log_probs) {
      std::memset(to, 0, static_cast<std::size_t>(s.C) * sizeof(T));
    } else if (short_packs<T>(s.C) > 0) {
      scale_row(to, s.C, o.scale / e.sum);
    } else {
      softmax(s.x + t * s.stride, s.C, e.largest, o.scale / e.sum, to);
    }
    add_by_class(to, -o.scale);
  }
  if (o.posteriors) add_by_class(o.posteriors + t * s.stride, T(1));
  if (o.alignment) {
    divide(p.blank);
    T* to = o.alignment + t * o.alignment_stride;
    for (std::int64_t u = range.begin; u < range.end && u <= s.U; ++u) to[2 * u] = p.blank[u];
    for (std::int64_t u = range.begin; u < last; ++u) to[2 * u + 1] = p.label[u];
  }
}

/// @tparam kAlpha  alpha crosses a block of the second half; else beta one of the first
template <bool kAlpha, class T>
void cross_by(const CtcSource<T>& s, const CtcBlock<T>& block, CtcCrossing<T>* c, std::int64_t exponent,
              const CtcOutputs<T>& outputs) {
  const std::int64_t ahead = short_packs<T>(s.C) > 0 ? block.frames() : 1;  // short: for the next block
  for (std::int64_t row = block.frames(); row-- > 0; ++c->steps) {
    const std::int64_t t = kAlpha ? block.end - 1 - row : block.begin + row;
    fetch(s, kAlpha ? t + ahead : t - ahead);
    T* to = c->rows[c->steps % 2];
    if (c->steps > 0 && c->steps % kCtcNormalise == 0) {
      c->power += normalise(s, kAlpha ? t - 1 : t + 1, c->rows[(c->steps - 1) % 2]);
    }
    const CtcEmission<T>& e = block.emissions[t - block.begin];
    const std::int64_t base = exponent - block.powers[row] - c->power;
    Products<T> p{block.rows + row * s.row.elements(), outputs.blank, outputs.label,
                  base_of<T>(all<T>(base < kCtcDead ? kCtcDead : base))};
    step<kAlpha, true>(s, t, e, c->row, to, &p);
    write(s, t, e, p, outputs);
    c->row = to;
  }
}
template <class T>
void cross(const CtcSource<T>& s, const CtcBlock<T>& block, CtcCrossing<T>* crossing, std::int64_t exponent,
           const CtcOutputs<T>& outputs) {
  return block.half == CtcHalf::first ? cross_by<false>(s, block, crossing, exponent, outputs)
                                      : cross_by<true>(s, block, crossing, exponent, outputs);
}

template <class T>
CtcMeeting<T> meet(const CtcSource<T>& s, std::int64_t t, const T* alpha, const T* beta) {
  const std::int64_t bm = s.row.blank_m(), lm = s.row.label_m(), bk = s.row.blank_k(), lk = s.row.label_k();
  Number<T> total = zero<T>();
  const auto add = [&](Number<T> a, Number<T> b) { total = total + Number<T>{a.m * b.m, added<T>(a.k, b.k)}; };
  beta_sums(
      s, t - 1, beta, [&](std::int64_t i, Number<T> blank) { add(at(alpha, bm + i, bk + i), blank); },
      [&](std::int64_t i, Number<T> label) { add(at(alpha, lm + i, lk + i), label); });
  const Integers<T> top = largest_of(total.k);
  const Pack<T> p = sum_of(total.m * power<T>(total.k, base_of<T>(top)));
  return {p.v[0], top[0]};
}

template <class T>
constexpr CtcKernels<T> kTable{places<T>, read<T>, walk<T>, again<T>, cross<T>, meet<T>};

}  // namespace

extern const CtcKernels<float> kCtcF32;
extern const CtcKernels<double> kCtcF64;
const CtcKernels<float> kCtcF32 = kTable<float>;
const CtcKernels<double> kCtcF64 = kTable<double>;

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
