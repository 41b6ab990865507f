#include <cmath>
#include <cstring>
#include <limits>

#include "device/cpu/ctc_plan.hpp"
#include "device/cpu/instantiate.hpp"
#include "device/cpu/table.hpp"

// CTC, forward: read the inputs once, walk alpha to the end with a checkpoint every kCtcBlock frames, then walk back
// block by block: alpha again, beta, posteriors. Beta of a small batch is walked first, too, so that pieces of one
// sequence run at once. Either way every number comes from the same operations in the same order.
namespace seqgpu::device::cpu {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity(), kLn2 = 0.693147180559945309417;

template <class T>
struct Forward {
  Forward(const op::CtcForwardDesc& d, const Arguments& a) : desc(d), arguments(a), pieces(ctc_pieces(d)) {
    Carver carver{static_cast<std::byte*>(a.workspace)};
    sequences = carver.take<CtcSequence>(d.N);
    tables = carver.take<CtcTables<T>>(d.N);
    nll = carver.take<double>(d.N);
    Carver kept{static_cast<std::byte*>(a.outputs[op::kCtcKept])};
    reserve = CtcReserve<T>::take(d.training ? kept : carver, d, d.training);
    ctc_sequences(d, a, sequences);
    for (std::int64_t n = 0; n < d.N; ++n) tables[n] = CtcTables<T>::take(carver, d, sequences[n].U);
  }

  void run();
  bool possible(std::int64_t n) const { return sequences[n].frames >= sequences[n].needed; }
  std::int64_t blocks(std::int64_t n) const { return (sequences[n].frames + kCtcBlock - 1) / kCtcBlock; }
  std::int32_t* classes(std::int64_t n) const { return reserve.classes + sequences[n].before + n; }
  T* posteriors(std::int64_t n) const { return reserve.posteriors + desc.T * (sequences[n].before + n); }

  void prepare(std::int64_t n);
  void read_frames(std::int64_t begin, std::int64_t end);
  void emit(std::int64_t n, std::int64_t block, const CtcScratch<T>& scratch) const;
  void walk_alpha(std::int64_t n);
  void walk_beta(std::int64_t n) const;
  void walk_back(std::int64_t n, std::int64_t piece) const;
  double constants(std::int64_t n) const;
  void write_frame(std::int64_t n, std::int64_t t, T blank, const CtcScratch<T>& scratch) const;
  void poison(std::int64_t n) const;
  void reduce() const;

  const op::CtcForwardDesc& desc;
  const Arguments& arguments;
  const CtcKernels<T>& kernels = simd().ctc<T>();
  std::int64_t pieces;
  CtcSequence* sequences;
  CtcTables<T>* tables;
  double* nll;  // [N]
  CtcReserve<T> reserve;
};

/// A row of zeros, but for blank `one`, which is 1.
template <class T>
void clear(CtcRow<T> row, T* values, std::int64_t one) {
  constexpr auto dead = static_cast<CtcExponent<T>>(kCtcDead);
  std::fill_n(values, row.elements(), T(0));
  for (std::int64_t i = row.blank_k(); i < row.elements(); ++i) {
    std::memcpy(values + i, &dead, sizeof dead);
  }
  values[row.blank_m() + one] = T(1);
  values[row.blank_k() + one] = T(0);  // the bits of integer 0
}

template <class T>
CtcExponent<T> exponent(const T* values, std::int64_t i) {
  CtcExponent<T> k;
  std::memcpy(&k, values + i, sizeof k);
  return k;
}

/// Distinct classes, each label's slot among them, and which labels repeat their predecessor.
template <class T>
void Forward<T>::prepare(std::int64_t n) {
  const CtcSequence& s = sequences[n];
  const CtcTables<T>& table = tables[n];
  std::int32_t* list = classes(n);
  list[0] = static_cast<std::int32_t>(desc.blank);
  std::copy_n(s.target, s.U, list + 1);
  std::sort(list + 1, list + 1 + s.U);
  const std::int32_t* end = std::unique(list + 1, list + 1 + s.U);
  reserve.distinct[n] = static_cast<std::int32_t>(end - list);
  for (std::int64_t u = 0; u < s.U; ++u) {
    table.slot[u] =
        static_cast<std::int32_t>(std::lower_bound(list + 1, list + reserve.distinct[n], s.target[u]) - list);
  }
  std::fill_n(table.skip, table.row.width + CtcRow<T>::kGuard, static_cast<CtcExponent<T>>(kCtcDead));
  for (std::int64_t u = 1; u < s.U; ++u) {
    if (s.target[u] != s.target[u - 1]) table.skip[u] = 0;
  }
}

/// Rows [begin, end) of x [T*N, C]: softmax sums, and the columns that the targets name.
template <class T>
void Forward<T>::read_frames(std::int64_t begin, std::int64_t end) {
  for (std::int64_t r = begin; r < end; ++r) {
    const std::int64_t t = r / desc.N, n = r % desc.N;
    const CtcSequence& s = sequences[n];
    if (t >= s.frames || !possible(n)) continue;
    const T* x = in<T>(arguments, op::kCtcX) + r * desc.C;
    T* columns = tables[n].emitted + t * (s.U + 1);
    for (std::int64_t u = 0; u < s.U; ++u) columns[u] = x[s.target[u]];
    columns[s.U] = x[desc.blank];
    if (!desc.from_log_probs) {
      kernels.softmax_sums(x, desc.C, reserve.largest + r, reserve.sum + r);
      continue;
    }
    bool legal = true;
    for (std::int64_t u = 0; u <= s.U; ++u) legal = legal && columns[u] < std::numeric_limits<T>::infinity();
    reserve.largest[r] = 0;
    reserve.sum[r] = legal ? T(1) : std::numeric_limits<T>::quiet_NaN();
  }
}

template <class T>
void Forward<T>::emit(std::int64_t n, std::int64_t block, const CtcScratch<T>& scratch) const {
  const std::int64_t U = sequences[n].U;
  const std::int64_t end = std::min(sequences[n].frames, (block + 1) * kCtcBlock);
  for (std::int64_t t = block * kCtcBlock; t < end; ++t) {
    const T* columns = tables[n].emitted + t * (U + 1);
    kernels.emissions(columns, U, tables[n].row.width, &scratch.emissions[t % kCtcBlock]);
  }
}

/// What softmax takes off ln p: the sum of each frame's ln sum exp.
template <class T>
double Forward<T>::constants(std::int64_t n) const {
  double total = 0, product = 1;  // a logarithm for every 16 frames: a frame's sum is below 2^63
  for (std::int64_t t = 0; t < sequences[n].frames; ++t) {
    const std::int64_t r = t * desc.N + n;
    total += static_cast<double>(reserve.largest[r]);
    product *= static_cast<double>(reserve.sum[r]);
    if (t % 16 == 15) {
      total += std::log(product);
      product = 1;
    }
  }
  return total + std::log(product);
}

template <class T>
void Forward<T>::walk_alpha(std::int64_t n) {
  const CtcSequence& s = sequences[n];
  const CtcTables<T>& table = tables[n];
  const CtcRow<T> row = table.row;
  const CtcScratch<T> scratch = table.piece(0);
  T *now = scratch.alphas, *next = now + row.elements();
  clear(row, now, 0);
  clear(row, next, 0);
  std::int64_t power = 0;
  double scale = 0;
  for (std::int64_t t = 0; t < s.frames; ++t) {
    if (t % kCtcBlock == 0) {
      emit(n, t / kCtcBlock, scratch);
      std::copy_n(now, row.elements(), table.checkpoints + t / kCtcBlock * row.elements());
    }
    if (t % kCtcNormalise == 0) power += kernels.normalise(row, now);
    const CtcEmission<T>& e = scratch.emissions[t % kCtcBlock];
    scale += e.scale;
    kernels.alpha(row, table.skip, e, now, next);
    std::swap(now, next);
  }
  power += kernels.normalise(row, now);
  // A path ends in the last blank or the last label.
  const std::int64_t blank = exponent(now, row.blank_k() + s.U), label = exponent(now, row.label_k() + s.U - 1);
  const std::int64_t top = std::max(blank, label);
  nll[n] = kInfinity;
  if (top > kCtcLive) {
    const auto part = [&](std::int64_t m, std::int64_t k) {
      return std::ldexp(static_cast<double>(now[m]), static_cast<int>(std::max<std::int64_t>(k - top, -2000)));
    };
    const double p = part(row.blank_m() + s.U, blank) + part(row.label_m() + s.U - 1, label);
    nll[n] = constants(n) - scale - std::log(p) - static_cast<double>(power + top) * kLn2;
    if (!desc.from_log_probs && nll[n] < 0) nll[n] = 0;  // a rounding; log-probabilities may sum to more than 1
  } else if (std::isnan(constants(n))) {
    nll[n] = constants(n);
  }
  if (std::isinf(nll[n])) reserve.distinct[n] = 0;
}

/// Beta after each piece but the last.
template <class T>
void Forward<T>::walk_beta(std::int64_t n) const {
  const CtcSequence& s = sequences[n];
  const CtcTables<T>& table = tables[n];
  const CtcScratch<T> scratch = table.piece(1);
  T *now = scratch.betas[0], *next = scratch.betas[1];
  clear(table.row, now, s.U);  // as if a frame behind the last had emitted the last blank
  clear(table.row, next, s.U);
  std::int64_t piece = pieces;
  for (std::int64_t block = blocks(n); block-- > 0;) {
    while (piece > 0 && blocks(n) * piece / pieces > block) {
      --piece;
      if (piece + 1 < pieces) {
        std::copy_n(now, table.row.elements(), table.boundaries + piece * table.row.elements());
      }
    }
    emit(n, block, scratch);
    for (std::int64_t t = std::min(s.frames, (block + 1) * kCtcBlock); t-- > block * kCtcBlock;) {
      if ((t + 1) % kCtcNormalise == 0) kernels.normalise(table.row, now);
      kernels.beta(table.row, table.skip, scratch.emissions[t % kCtcBlock], now, next, nullptr, nullptr);
      std::swap(now, next);
    }
  }
}

template <class T>
void Forward<T>::walk_back(std::int64_t n, std::int64_t piece) const {
  const CtcSequence& s = sequences[n];
  const CtcTables<T>& table = tables[n];
  const CtcRow<T> row = table.row;
  const std::int64_t begin = blocks(n) * piece / pieces, end = blocks(n) * (piece + 1) / pieces;
  if (begin == end) return;
  const CtcScratch<T> scratch = table.piece(piece);
  T *now = scratch.betas[0], *next = scratch.betas[1];
  clear(row, now, s.U);
  clear(row, next, s.U);
  for (std::int64_t i = 0; i <= kCtcBlock; ++i) clear(row, scratch.alphas + i * row.elements(), 0);
  if (end < blocks(n)) std::copy_n(table.boundaries + piece * row.elements(), row.elements(), now);
  for (std::int64_t block = end; block-- > begin;) {
    const std::int64_t first = block * kCtcBlock, last = std::min(s.frames, first + kCtcBlock);
    emit(n, block, scratch);
    std::copy_n(table.checkpoints + block * row.elements(), row.elements(), scratch.alphas);
    for (std::int64_t t = first; t < last; ++t) {
      T* alpha = scratch.alphas + (t - first) * row.elements();
      if (t % kCtcNormalise == 0) kernels.normalise(row, alpha);
      kernels.alpha(row, table.skip, scratch.emissions[t - first], alpha, alpha + row.elements());
    }
    for (std::int64_t t = last; t-- > first;) {
      if ((t + 1) % kCtcNormalise == 0) kernels.normalise(row, now);
      const T* alpha = scratch.alphas + (t - first + 1) * row.elements();
      const T blank = kernels.beta(row, table.skip, scratch.emissions[t - first], now, next, alpha, &scratch.posterior);
      std::swap(now, next);
      write_frame(n, t, blank, scratch);
    }
  }
}

/// Posteriors by class and, where wanted, by state. @param blank  the sum over all blanks
template <class T>
void Forward<T>::write_frame(std::int64_t n, std::int64_t t, T blank, const CtcScratch<T>& scratch) const {
  const CtcSequence& s = sequences[n];
  const std::int64_t distinct = reserve.distinct[n], r = t * desc.N + n;
  double* sums = scratch.by_class;
  std::fill_n(sums, distinct, 0.0);
  sums[0] = static_cast<double>(blank);
  for (std::int64_t u = 0; u < s.U; ++u) {
    sums[tables[n].slot[u]] += static_cast<double>(scratch.posterior.label[u]);
  }
  if (reserve.posteriors) {
    T* kept = posteriors(n) + t * distinct;
    for (std::int64_t i = 0; i < distinct; ++i) kept[i] = static_cast<T>(sums[i]);
  }
  if (T* dense = out<T>(arguments, op::kCtcPosteriors)) {
    for (std::int64_t i = 0; i < distinct; ++i) dense[r * desc.C + classes(n)[i]] = static_cast<T>(sums[i]);
  }
  if (T* states = out<T>(arguments, op::kCtcAlignment)) {
    states += r * (2 * desc.L + 1);
    for (std::int64_t u = 0; u <= s.U; ++u) states[2 * u] = scratch.posterior.blank[u];
    for (std::int64_t u = 0; u < s.U; ++u) states[2 * u + 1] = scratch.posterior.label[u];
  }
}

/// Inputs that are no numbers give posteriors that are none.
template <class T>
void Forward<T>::poison(std::int64_t n) const {
  const CtcScratch<T> scratch = tables[n].piece(0);
  const T nan = std::numeric_limits<T>::quiet_NaN();
  std::fill_n(scratch.posterior.blank, tables[n].row.width, nan);
  std::fill_n(scratch.posterior.label, tables[n].row.width, nan);
  for (std::int64_t t = 0; t < sequences[n].frames; ++t) write_frame(n, t, nan, scratch);
}

/// What each sequence's loss is multiplied with; 0 where it does not count.
struct Factors {
  Factors(const op::CtcDesc& d, const CtcSequence* s) : desc(d), sequences(s) {
    using R = op::CtcDesc::Reduction;
    std::int64_t frames = 0, tokens = 0;
    for (std::int64_t n = 0; n < d.N; ++n) frames += s[n].frames, tokens += s[n].U;
    std::int64_t by = 1;
    if (d.reduction == R::mean_by_target || d.reduction == R::mean_by_batch) by = d.N;
    if (d.reduction == R::mean_by_frames) by = frames;
    if (d.reduction == R::mean_by_tokens) by = tokens;
    divisor = static_cast<double>(std::max<std::int64_t>(by, 1));
  }
  template <class T>
  double of(std::int64_t n, const T* weights) const {
    const bool by_target = desc.reduction == op::CtcDesc::Reduction::mean_by_target;
    const double own = by_target ? static_cast<double>(std::max<std::int64_t>(sequences[n].U, 1)) : 1.0;
    return (weights ? static_cast<double>(weights[n]) : 1.0) / (own * divisor);
  }
  const op::CtcDesc& desc;
  const CtcSequence* sequences;
  double divisor;
};

template <class T>
void Forward<T>::reduce() const {
  const Factors factors(desc, sequences);
  const bool each = desc.reduction == op::CtcDesc::Reduction::none;
  T* loss = out<T>(arguments, op::kCtcLoss);
  double total = 0;
  for (std::int64_t n = 0; n < desc.N; ++n) {
    const double factor = factors.of(n, in<T>(arguments, op::kCtcWeights));
    const bool counts = factor != 0 && !(std::isinf(nll[n]) && desc.impossible == op::CtcDesc::Impossible::zero);
    const double part = counts ? factor * nll[n] : 0;
    total += part;
    if (each && loss) loss[n] = static_cast<T>(part);
    if (T* all = out<T>(arguments, op::kCtcPerSequence)) all[n] = static_cast<T>(nll[n]);
    if (auto* status = out<std::int32_t>(arguments, op::kCtcStatus)) {
      status[n] = possible(n) ? 0 : static_cast<std::int32_t>(sequences[n].needed);
    }
  }
  if (!each && loss) *loss = static_cast<T>(total);
}

template <class T>
void Forward<T>::run() {
  for (std::int64_t n = 0; n < desc.N; ++n) {
    if (possible(n)) continue;
    if (desc.impossible == op::CtcDesc::Impossible::error) throw ctc_impossible_error(desc, n, sequences[n]);
    nll[n] = kInfinity;
    reserve.distinct[n] = 0;
  }
  T *dense = out<T>(arguments, op::kCtcPosteriors), *states = out<T>(arguments, op::kCtcAlignment);
  const bool wanted = reserve.posteriors || dense || states;
  Parallel& parallel = *arguments.parallel;
  parallel.for_each(desc.N, [&](std::int64_t n) {
    if (possible(n)) prepare(n);
  });
  const std::int64_t rows = desc.T * desc.N, tile = std::max<std::int64_t>(1, kTile / desc.C);
  parallel.for_each((rows + tile - 1) / tile, [&](std::int64_t i) {
    const std::int64_t begin = i * tile, end = std::min(rows, begin + tile);
    read_frames(begin, end);
    const std::int64_t S = 2 * desc.L + 1;
    if (dense) std::fill(dense + begin * desc.C, dense + end * desc.C, T(0));
    if (states) std::fill(states + begin * S, states + end * S, T(0));
  });
  const bool early = wanted && pieces > 1;
  const auto back = [&](std::int64_t n, std::int64_t piece) {
    if (std::isfinite(nll[n])) walk_back(n, piece);
    if (std::isnan(nll[n]) && piece == 0) poison(n);
  };
  parallel.for_each(desc.N * (early ? 2 : 1), [&](std::int64_t i) {
    const std::int64_t n = i % desc.N;
    if (!possible(n)) return;
    if (i >= desc.N) return walk_beta(n);
    walk_alpha(n);
    if (wanted && !early) back(n, 0);
  });
  if (early) parallel.for_each(desc.N * pieces, [&](std::int64_t i) { back(i / pieces, i % pieces); });
  reduce();
}

}  // namespace

template <class T>
void compute(const op::CtcForwardDesc& d, const Arguments& a) {
  Forward<T>(d, a).run();
}

// By a logit: softmax - posterior; by a log-probability: -posterior; each times d loss and the factor of its sequence.
template <class T>
void compute(const op::CtcBackwardDesc& d, const Arguments& a) {
  Carver carver{static_cast<std::byte*>(a.workspace)};
  auto* sequences = carver.take<CtcSequence>(d.N);
  T* scales = carver.take<T>(d.N);
  ctc_sequences(d, a, sequences);
  Carver kept{static_cast<std::byte*>(const_cast<void*>(a.inputs[op::kCtcReserve]))};
  const auto reserve = CtcReserve<T>::take(kept, d, true);
  const T *x = in<T>(a, op::kCtcX), *d_loss = in<T>(a, op::kCtcDLoss), *weights = in<T>(a, op::kCtcWeights);
  T* d_x = out<T>(a, 0);
  const Factors factors(d, sequences);
  const bool each = d.reduction == op::CtcDesc::Reduction::none;
  for (std::int64_t n = 0; n < d.N; ++n) {
    scales[n] = static_cast<T>(factors.of(n, weights) * static_cast<double>(d_loss[each ? n : 0]));
  }
  const CtcKernels<T>& kernels = simd().ctc<T>();
  const std::int64_t rows = d.T * d.N, tile = std::max<std::int64_t>(1, kTile / d.C);
  a.parallel->for_each((rows + tile - 1) / tile, [&](std::int64_t i) {
    for (std::int64_t r = i * tile; r < std::min(rows, (i + 1) * tile); ++r) {
      const std::int64_t t = r / d.N, n = r % d.N;
      const CtcSequence& s = sequences[n];
      const std::int64_t distinct = reserve.distinct[n];
      T* to = d_x + r * d.C;
      if (t >= s.frames || distinct == 0 || scales[n] == T(0)) {  // what lies there, even NaN, has no part in the loss
        std::fill_n(to, d.C, T(0));
        continue;
      }
      if (d.from_log_probs) {
        std::fill_n(to, d.C, T(0));
      } else {
        kernels.softmax(x + r * d.C, d.C, reserve.largest[r], scales[n] / reserve.sum[r], to);
      }
      const std::int32_t* classes = reserve.classes + s.before + n;
      const T* posteriors = reserve.posteriors + d.T * (s.before + n) + t * distinct;
      for (std::int64_t c = 0; c < distinct; ++c) to[classes[c]] -= scales[n] * posteriors[c];
    }
  });
}

SEQGPU_INSTANTIATE(CtcForwardDesc)
SEQGPU_INSTANTIATE(CtcBackwardDesc)

}  // namespace seqgpu::device::cpu
