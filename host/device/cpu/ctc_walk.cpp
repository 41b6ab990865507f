#include "device/cpu/ctc_walk.hpp"

#include <atomic>
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

}  // namespace

template <class T>
CtcWalk<T>::CtcWalk(const op::CtcDesc& d, const Arguments& a, void* reserve)
    : desc_(d), x_(in<T>(a, op::kCtcX)), kernels_(simd().ctc<T>()), block_(ctc_block(d)) {
  Carver carver{static_cast<std::byte*>(a.workspace)}, outside{static_cast<std::byte*>(reserve)};
  batch_ = CtcBatch<T>::take(carver, d);
  reserve_ = CtcReserve<T>::take(reserve ? outside : carver, d);
  ctc_sequences(d, a, batch_.sequences);
  Carver rest = reserve_.rest;
  std::int64_t longest = 0;
  for (std::int64_t n = 0; n < d.N; ++n) {
    batch_.kept[n] = CtcKept<T>::take(rest, d, sequence(n).U);
    batch_.arrived[n] = 0;
    longest = std::max(longest, sequence(n).U);
  }
  step_ = std::max<std::int64_t>(1, d.N * 2 / 5);
  while (std::gcd(step_, d.N) > 1) --step_;
  lane_bytes_ = CtcScratch<T>::bytes(d, longest);
  lanes_ = static_cast<std::int64_t>(ctc_scratch_bytes<T>(d) / lane_bytes_);
  scratch_ = carver.base + carver.used;
}

/// Classes, and which labels repeat their predecessor.
template <class T>
CtcScratch<T> CtcWalk<T>::prepare(std::int64_t n, std::byte* memory) const {
  const CtcSequence& s = sequence(n);
  Carver carver{memory};
  CtcScratch<T> scratch = CtcScratch<T>::take(carver, desc_, s.U);
  std::fill_n(scratch.classes, scratch.row.width, static_cast<std::int32_t>(desc_.blank));
  std::copy_n(s.target, s.U, scratch.classes);
  kernels_.places(desc_.C, scratch.classes, scratch.row.width, scratch.places);
  std::fill_n(scratch.skip, scratch.row.width + kCtcGuard<T>, static_cast<CtcExponent<T>>(kCtcSkip));
  for (std::int64_t u = 1; u < s.U; ++u) {
    if (s.target[u] != s.target[u - 1]) scratch.skip[u] = 0;
  }
  return scratch;
}

template <class T>
CtcSource<T> CtcWalk<T>::source(std::int64_t n, const CtcScratch<T>& scratch, bool read) const {
  CtcSource<T> s;
  s.x = x_ + n * desc_.C;
  s.stride = desc_.N * desc_.C;
  s.frames = sequence(n).frames;
  s.C = desc_.C;
  s.U = sequence(n).U;
  s.row = scratch.row;
  s.classes = scratch.classes;
  s.places = scratch.places;
  s.skip = scratch.skip;
  s.log_probs = desc_.from_log_probs;
  s.read = read;
  s.largest = reserve_.largest + n;
  s.sum = reserve_.sum + n;
  s.statistic = desc_.N;
  return s;
}

template <class T>
std::int64_t CtcWalk<T>::blocks(std::int64_t n, int half) const {
  const CtcSequence& s = sequence(n);
  return ((half == 0 ? s.middle() : s.frames - s.middle()) + block_ - 1) / block_;
}

/// The i-th block from the outside.
template <class T>
CtcBlock<T> CtcWalk<T>::block(std::int64_t n, int half, std::int64_t i, const CtcScratch<T>& scratch) const {
  const CtcSequence& s = sequence(n);
  const CtcCheckpoints<T>& kept = batch_.kept[n].halves[half];
  CtcBlock<T> b;
  b.half = static_cast<CtcHalf>(half);
  b.begin = half == 0 ? i * block_ : std::max(s.middle(), s.frames - (i + 1) * block_);
  b.end = half == 0 ? std::min(s.middle(), (i + 1) * block_) : s.frames - i * block_;
  b.emissions = scratch.emissions;
  b.entry = kept.rows + i * scratch.row.elements();
  b.power = kept.powers[i];
  b.exit = kept.rows + (i + 1) * scratch.row.elements();
  return b;
}

template <class T>
bool CtcWalk<T>::to_middle(std::int64_t n, CtcHalves halves, std::byte* memory) const {
  const CtcScratch<T> scratch = prepare(n, memory);
  const CtcSource<T> s = source(n, scratch, false);
  for (int half = halves.first; half < halves.end; ++half) {
    // As if a frame before the first had emitted the first blank, and one behind the last the last.
    const CtcCheckpoints<T>& kept = batch_.kept[n].halves[half];
    clear(s.row, kept.rows, half == 0 ? 0 : s.U);
    kept.powers[0] = 0;
    scale(n, half) = 0;
  }
  for (std::int64_t i = 0; i < blocks(n, 1); ++i) {  // a block of each in turn; the first half is never the longer one
    for (int half = halves.first; half < halves.end; ++half) {
      if (i >= blocks(n, half)) continue;
      CtcBlock<T> b = block(n, half, i, scratch);
      b.rows = scratch.rows;
      b.scale = scale(n, half);
      kernels_.read(s, b, half == 0, nullptr);
      kernels_.walk(s, &b);
      batch_.kept[n].halves[half].powers[i + 1] = b.power;
      scale(n, half) = b.scale;
    }
  }
  const int came = halves.end - halves.first;
  return std::atomic_ref(batch_.arrived[n]).fetch_add(came, std::memory_order_acq_rel) + came == 2;
}

template <class T>
double CtcWalk<T>::meet(std::int64_t n, std::byte* memory) const {
  using Gradient = typename CtcKept<T>::Gradient;
  const CtcKept<T>& kept = batch_.kept[n];
  Carver carver{memory};  // as to_middle() left it
  const CtcSource<T> s = source(n, CtcScratch<T>::take(carver, desc_, sequence(n).U), true);
  const T* rows[2];
  std::int64_t power = 0;
  for (int half = 0; half < 2; ++half) {
    rows[half] = kept.halves[half].rows + blocks(n, half) * s.row.elements();
    power += kept.halves[half].powers[blocks(n, half)];
  }
  const CtcMeeting<T> meeting = kernels_.meet(s, sequence(n).middle(), rows[0], rows[1]);
  const double scales = scale(n, 0) + scale(n, 1);
  *kept.exponent = power + meeting.exponent;
  *kept.gradient = std::isnan(scales) ? Gradient::nan : Gradient::zero;
  if (std::isnan(scales)) return scales;
  if (meeting.exponent <= kCtcLive) return std::numeric_limits<double>::infinity();
  *kept.gradient = Gradient::finite;
  const double nll = -scales - std::log(static_cast<double>(meeting.p)) - static_cast<double>(*kept.exponent) * kLn2;
  return !desc_.from_log_probs && nll < 0 ? 0 : nll;  // a rounding; log-probabilities may sum to more than 1
}

template <class T>
void CtcWalk<T>::back(std::int64_t n, CtcHalves halves, std::byte* memory, CtcOutputs<T> outputs) const {
  const CtcScratch<T> scratch = prepare(n, memory);
  outputs.blank = scratch.blank;
  outputs.label = scratch.label;
  for (int half = halves.first; half < halves.end; ++half) {
    back(source(n, scratch, true), n, half, scratch, outputs);
  }
}

template <class T>
void CtcWalk<T>::back(const CtcSource<T>& s, std::int64_t n, int half, const CtcScratch<T>& scratch,
                      const CtcOutputs<T>& outputs) const {
  const CtcCheckpoints<T>& from = batch_.kept[n].halves[1 - half];
  CtcCrossing<T> crossing;
  crossing.row = from.rows + blocks(n, 1 - half) * s.row.elements();
  crossing.power = from.powers[blocks(n, 1 - half)];
  for (int i = 0; i < 2; ++i) crossing.rows[i] = scratch.rows + i * s.row.elements();
  for (std::int64_t i = blocks(n, half); i-- > 0;) {
    CtcBlock<T> b = block(n, half, i, scratch);
    b.rows = scratch.again;
    b.powers = scratch.powers;
    kernels_.read(s, b, half == 1, outputs.gradient);
    kernels_.again(s, &b);
    kernels_.cross(s, b, &crossing, *batch_.kept[n].exponent, outputs);
  }
}

template class CtcWalk<float>;
template class CtcWalk<double>;

}  // namespace seqgpu::device::cpu
