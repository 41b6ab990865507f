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

/// Alpha at t from alpha at t - 1.
template <class T>
void alpha_step(const CtcSource<T>& s, std::int64_t t, const CtcEmission<T>& e, const T* from, T* to) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const Pack<T> blank_m(e.blank_m);
  const Integers<T> blank_k = all<T>(e.blank_k);
  const std::int64_t bm = s.row.blank_m(), lm = s.row.label_m(), bk = s.row.blank_k(), lk = s.row.label_k();
  const Range range = range_of(s, t), old = range_of(s, t - 1);
  Number<T> last = zero<T>();
  if (range.begin > old.begin) last = at(from, lm + range.begin - lanes, lk + range.begin - lanes);
  for (std::int64_t i = range.begin; i < range.end; i += lanes) {
    const Number<T> blank = at(from, bm + i, bk + i), label = at(from, lm + i, lk + i);
    Number<T> before = window<Pack<T>::kLanes - 1>(last, label);
    last = label;
    put(to, bm + i, bk + i, times(blank + before, blank_m, blank_k));
    before.k += load<T>(s.skip + i);
    put(to, lm + i, lk + i, times(sum(label, blank, before), Pack<T>::load(e.m + i), load<T>(e.k + i)));
  }
  if (range.end < s.row.width) put_zeros(s.row, to, range.end);
}

/// Products of alpha and beta at a frame, about to become posteriors.
template <class T>
struct Products {
  const T* alpha;
  T *blank, *label;
  Integers<T> base;                    // of the exponents, so that products sum to about 1
  Pack<T> blanks{T(0)}, labels{T(0)};  // sums
};

/// Beta at t times what t emits, from the same at t + 1; products of alpha at t and beta at t.
template <bool kProducts, class T>
void beta_step(const CtcSource<T>& s, std::int64_t t, const CtcEmission<T>& e, const T* from, T* to, Products<T>* p) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const Pack<T> blank_m(e.blank_m);
  const Integers<T> blank_k = all<T>(e.blank_k);
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
    const Number<T> to_blank = blank + label, to_label = sum(label, next_blank, next_label);
    blank = blanks;
    label = labels;
    put(to, bm + i, bk + i, times(to_blank, blank_m, blank_k));
    put(to, lm + i, lk + i, times(to_label, Pack<T>::load(e.m + i), load<T>(e.k + i)));
    if constexpr (kProducts) {
      const auto product = [&](Number<T> a, Number<T> b) {
        return a.m * b.m * power<T>(larger(a.k + larger(b.k, all<T>(kCtcDead)), all<T>(kCtcDead)), p->base);
      };
      const Pack<T> of_blank = product(at(p->alpha, bm + i, bk + i), to_blank);
      const Pack<T> of_label = product(at(p->alpha, lm + i, lk + i), to_label);
      of_blank.store(p->blank + i);
      of_label.store(p->label + i);
      p->blanks = p->blanks + of_blank;
      p->labels = p->labels + of_label;
    }
  }
  if (range.begin > 0) put_zeros(s.row, to, range.begin - lanes);
}

template <class T>
void alpha(const CtcSource<T>& s, const CtcBlock<T>& block, T* two[2], CtcTaken* taken) {
  double scale = taken->scale, product = 1;  // a logarithm for 8 frames: their sums' product is below 2^1000
  for (std::int64_t t = block.begin; t < block.end; ++t) {
    const CtcEmission<T>& e = block.emissions[t - block.begin];
    scale += e.scale - static_cast<double>(e.largest);
    product *= static_cast<double>(e.sum);
    if (t % 8 == 7) {
      scale -= __builtin_log(product);
      product = 1;
    }
    if (t != block.begin && t % kCtcNormalise == 0) taken->power += normalise(s, t - 1, two[0]);
    alpha_step(s, t, e, two[0], two[1]);
    std::swap(two[0], two[1]);
  }
  taken->scale = scale - __builtin_log(product);
}

template <class T>
void alpha_again(const CtcSource<T>& s, const CtcBlock<T>& block, std::int64_t power) {
  T* now = block.alphas;
  for (std::int64_t t = block.begin; t < block.end; ++t, now += s.row.elements()) {
    if (t != block.begin && t % kCtcNormalise == 0) power += normalise(s, t - 1, now);
    block.powers[t - block.begin] = power;
    alpha_step(s, t, block.emissions[t - block.begin], now, now + s.row.elements());
  }
  block.powers[block.end - block.begin] = power;
}

/// Products at t into what is wanted of them: each divided by the sum of all, so that the frame's sum to 1.
template <class T>
void write(const CtcSource<T>& s, std::int64_t t, const CtcEmission<T>& e, const Products<T>& p,
           const CtcOutputs<T>& o) {
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

template <class T>
void beta(const CtcSource<T>& s, const CtcBlock<T>& block, T* two[2], std::int64_t* power, std::int64_t exponent,
          const CtcOutputs<T>* outputs) {
  for (std::int64_t t = block.end; t-- > block.begin;) {
    const std::int64_t ahead = short_packs<T>(s.C) > 0 ? block.end - block.begin : 1;  // short: for the block before
    if (outputs && t >= ahead) fetch(s, t - ahead);
    if ((t + 1) % kCtcNormalise == 0) *power += normalise(s, t + 1, two[0]);
    const CtcEmission<T>& e = block.emissions[t - block.begin];
    if (outputs) {
      const std::int64_t row = t - block.begin + 1, base = exponent - block.powers[row] - *power;
      Products<T> p{block.alphas + row * s.row.elements(), outputs->blank, outputs->label,
                    base_of<T>(all<T>(base < kCtcDead ? kCtcDead : base))};
      beta_step<true>(s, t, e, two[0], two[1], &p);
      write(s, t, e, p, *outputs);
    } else {
      beta_step<false, T>(s, t, e, two[0], two[1], nullptr);
    }
    std::swap(two[0], two[1]);
  }
}

template <class T>
constexpr CtcKernels<T> kTable{softmax_sums<T>, places<T>, normalise<T>, read<T>, alpha<T>, alpha_again<T>, beta<T>};

}  // namespace

extern const CtcKernels<float> kCtcF32;
extern const CtcKernels<double> kCtcF64;
const CtcKernels<float> kCtcF32 = kTable<float>;
const CtcKernels<double> kCtcF64 = kTable<double>;

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
