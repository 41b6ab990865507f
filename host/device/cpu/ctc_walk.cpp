#include "device/cpu/ctc_walk.hpp"

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace seqgpu::device::cpu {
namespace {

constexpr double kLn2 = 0.693147180559945309417;

/// A row of zeros, but for blank `one`, which is 1.
template <class T>
void clear(CtcRow row, T* values, std::int64_t one) {
  constexpr auto dead = static_cast<CtcExponent<T>>(kCtcDead);
  std::fill_n(values, row.blank_k(), T(0));
  for (std::int64_t i = row.blank_k(); i < row.elements(); ++i) std::memcpy(values + i, &dead, sizeof dead);
  values[row.blank_m() + one] = T(1);
  values[row.blank_k() + one] = T(0);  // the bits of integer 0
}

template <class T>
std::int64_t exponent(const T* values, std::int64_t i) {
  CtcExponent<T> k;
  std::memcpy(&k, values + i, sizeof k);
  return k;
}

}  // namespace

template <class T>
CtcWalk<T>::CtcWalk(const op::CtcDesc& d, const Arguments& a, void* reserve)
    : desc_(d), x_(in<T>(a, op::kCtcX)), kernels_(simd().ctc<T>()), pieces_(ctc_pieces(d)), block_(ctc_block(d)) {
  Carver carver{static_cast<std::byte*>(a.workspace)}, outside{static_cast<std::byte*>(reserve)};
  batch_ = CtcBatch<T>::take(carver, d);
  reserve_ = CtcReserve<T>::take(reserve ? outside : carver, d);
  ctc_sequences(d, a, batch_.sequences);
  Carver rest = reserve_.rest;
  for (std::int64_t n = 0; n < d.N; ++n) {
    batch_.tables[n] = CtcTables<T>::take(carver, d, sequence(n).U);
    batch_.kept[n] = CtcKept<T>::take(rest, d, sequence(n).U);
  }
  step_ = std::max<std::int64_t>(1, d.N * 2 / 5);
  while (std::gcd(step_, d.N) > 1) --step_;
}

template <class T>
void CtcWalk<T>::prepare(std::int64_t n) const {
  const CtcSequence& s = sequence(n);
  const CtcTables<T>& table = batch_.tables[n];
  std::fill_n(table.classes, table.row.width, static_cast<std::int32_t>(desc_.blank));
  std::copy_n(s.target, s.U, table.classes);
  kernels_.places(desc_.C, table.classes, table.row.width, table.places);
  std::fill_n(table.skip, table.row.width + kCtcGuard<T>, static_cast<CtcExponent<T>>(kCtcSkip));
  for (std::int64_t u = 1; u < s.U; ++u) {
    if (s.target[u] != s.target[u - 1]) table.skip[u] = 0;
  }
}

template <class T>
CtcSource<T> CtcWalk<T>::source(std::int64_t n, bool read, bool statistics) const {
  const CtcTables<T>& table = batch_.tables[n];
  CtcSource<T> s;
  s.x = x_ + n * desc_.C;
  s.stride = desc_.N * desc_.C;
  s.frames = sequence(n).frames;
  s.C = desc_.C;
  s.U = sequence(n).U;
  s.row = table.row;
  s.classes = table.classes;
  s.places = table.places;
  s.skip = table.skip;
  s.log_probs = desc_.from_log_probs;
  s.read = read;
  s.largest = statistics ? reserve_.largest + n : nullptr;
  s.sum = statistics ? reserve_.sum + n : nullptr;
  s.statistic = desc_.N;
  return s;
}

template <class T>
void CtcWalk<T>::read(std::int64_t begin, std::int64_t end) const {
  for (std::int64_t r = begin; r < end; ++r) {
    const std::int64_t n = r % desc_.N;
    if (r / desc_.N >= sequence(n).frames || !possible(n)) continue;
    kernels_.softmax_sums(x_ + r * desc_.C, desc_.C, reserve_.largest + r, reserve_.sum + r);
  }
}

template <class T>
double CtcWalk<T>::forward(std::int64_t n) const {
  const CtcSource<T> s = source(n, reads_first(), true);
  const CtcKept<T>& kept = batch_.kept[n];
  CtcScratch<T> scratch = batch_.tables[n].piece(desc_, 0);
  T* two[2] = {scratch.betas[0], scratch.betas[1]};
  CtcTaken taken;
  clear(s.row, two[0], 0);
  for (std::int64_t block = 0; block < blocks(n); ++block) {
    const std::int64_t begin = block * block_;
    taken.power += kernels_.normalise(s, begin - 1, two[0]);
    std::copy_n(two[0], s.row.elements(), kept.checkpoints + block * s.row.elements());
    kept.powers[block] = taken.power;
    scratch.block.begin = begin;
    scratch.block.end = std::min(s.frames, begin + block_);
    kernels_.read(s, scratch.block, nullptr);
    kernels_.alpha(s, scratch.block, two, &taken);
  }
  taken.power += kernels_.normalise(s, s.frames - 1, two[0]);
  // A path ends in the last blank or the last label.
  const auto exponent_at = [&](std::int64_t k) { return exponent(two[0], k); };
  const std::int64_t blank = exponent_at(s.row.blank_k() + s.U);
  const std::int64_t label = s.U > 0 ? exponent_at(s.row.label_k() + s.U - 1) : kCtcDead;
  const std::int64_t top = std::max(blank, label);
  *kept.exponent = taken.power + top;
  *kept.gradient = std::isnan(taken.scale) ? CtcKept<T>::Gradient::nan : CtcKept<T>::Gradient::zero;
  if (std::isnan(taken.scale)) return taken.scale;
  if (top <= kCtcLive) return std::numeric_limits<double>::infinity();
  *kept.gradient = CtcKept<T>::Gradient::finite;
  const auto part = [&](std::int64_t m, std::int64_t k) {
    return std::ldexp(static_cast<double>(two[0][m]), static_cast<int>(std::max<std::int64_t>(k - top, -2000)));
  };
  double p = part(s.row.blank_m() + s.U, blank);
  if (s.U > 0) p += part(s.row.label_m() + s.U - 1, label);
  const double nll = -taken.scale - std::log(p) - static_cast<double>(*kept.exponent) * kLn2;
  return !desc_.from_log_probs && nll < 0 ? 0 : nll;  // a rounding; log-probabilities may sum to more than 1
}

template <class T>
void CtcWalk<T>::boundaries(std::int64_t n) const {
  // Alpha, which is under way, writes the statistics where nothing has yet.
  const CtcSource<T> s = source(n, reads_first(), reads_first());
  const CtcKept<T>& kept = batch_.kept[n];
  CtcScratch<T> scratch = batch_.tables[n].piece(desc_, 1);
  std::int64_t power = 0;
  clear(s.row, scratch.betas[0], s.U);  // as if a frame behind the last had emitted the last blank
  std::int64_t piece = pieces_;
  for (std::int64_t block = blocks(n); block-- > 0;) {
    while (piece > 0 && blocks(n) * piece / pieces_ > block) {
      --piece;
      if (piece + 1 == pieces_) continue;
      std::copy_n(scratch.betas[0], s.row.elements(), kept.boundaries + piece * s.row.elements());
      kept.taken[piece] = power;
    }
    scratch.block.begin = block * block_;
    scratch.block.end = std::min(s.frames, scratch.block.begin + block_);
    kernels_.read(s, scratch.block, nullptr);
    kernels_.beta(s, scratch.block, scratch.betas, &power, 0, nullptr);
  }
}

template <class T>
void CtcWalk<T>::back(std::int64_t n, std::int64_t piece, CtcOutputs<T> outputs) const {
  const CtcSource<T> s = source(n, true, true);
  const CtcKept<T>& kept = batch_.kept[n];
  const std::int64_t begin = blocks(n) * piece / pieces_, end = blocks(n) * (piece + 1) / pieces_;
  if (begin == end) return;
  CtcScratch<T> scratch = batch_.tables[n].piece(desc_, piece);
  outputs.blank = scratch.blank;
  outputs.label = scratch.label;
  std::int64_t power = 0;
  if (end == blocks(n)) {
    clear(s.row, scratch.betas[0], s.U);
  } else {
    std::copy_n(kept.boundaries + piece * s.row.elements(), s.row.elements(), scratch.betas[0]);
    power = kept.taken[piece];
  }
  for (std::int64_t block = end; block-- > begin;) {
    scratch.block.begin = block * block_;
    scratch.block.end = std::min(s.frames, scratch.block.begin + block_);
    std::copy_n(kept.checkpoints + block * s.row.elements(), s.row.elements(), scratch.block.alphas);
    kernels_.read(s, scratch.block, outputs.gradient);
    kernels_.alpha_again(s, scratch.block, kept.powers[block]);
    kernels_.beta(s, scratch.block, scratch.betas, &power, *kept.exponent, &outputs);
  }
}

template class CtcWalk<float>;
template class CtcWalk<double>;

}  // namespace seqgpu::device::cpu
