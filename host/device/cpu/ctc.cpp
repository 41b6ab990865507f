#include <cmath>
#include <limits>

#include "device/cpu/ctc_walk.hpp"
#include "device/cpu/instantiate.hpp"
#include "device/input_errors.hpp"

// CTC. Forward walks alpha and beta until they meet in the middle and leaves checkpoints every few frames. Backward
// goes on from there, block by block: the half's own recursion again, the other one, posteriors, gradient. In a small
// batch the halves are work of their own, which changes no operation and no order that a number comes from.
namespace seqgpu::device::cpu {
namespace {

template <class T>
struct Forward {
  const op::CtcForwardDesc& desc;
  const Arguments& arguments;
  CtcWalk<T> walk;

  void run();
  void zero_frames(std::int64_t begin, std::int64_t end) const;
  void way_back(std::int64_t n, CtcHalves halves, std::byte* scratch) const;
  void poison(std::int64_t n) const;
  void reduce() const;

  T* posteriors() const { return out<T>(arguments, op::kCtcPosteriors); }
  T* alignment() const { return out<T>(arguments, op::kCtcAlignment); }
  std::int64_t states() const { return 2 * desc.L + 1; }
};

template <class T>
void Forward<T>::run() {
  using Gradient = typename CtcKept<T>::Gradient;
  for (std::int64_t n = 0; n < desc.N; ++n) {
    if (walk.possible(n)) continue;
    if (desc.impossible == op::CtcDesc::Impossible::error) {
      const CtcSequence& s = walk.sequence(n);
      throw ctc_impossible_error(desc, n, s.U, s.needed, s.frames);
    }
    walk.number(n) = std::numeric_limits<double>::infinity();
    *walk.kept(n).gradient = Gradient::zero;
  }
  Parallel& parallel = *arguments.parallel;
  walk.for_each(parallel, [&](std::int64_t n, CtcHalves halves, std::byte* scratch) {
    if (walk.possible(n) && walk.to_middle(n, halves, scratch)) walk.number(n) = walk.meet(n, scratch);
  });
  if (posteriors() || alignment()) {
    const std::int64_t rows = desc.T * desc.N, tile = std::max<std::int64_t>(1, kTile / desc.C);
    parallel.for_each((rows + tile - 1) / tile,
                      [&](std::int64_t i) { zero_frames(i * tile, std::min(rows, (i + 1) * tile)); });
    walk.for_each(parallel,
                  [&](std::int64_t n, CtcHalves halves, std::byte* scratch) { way_back(n, halves, scratch); });
  }
  reduce();
}

/// Outputs at rows [begin, end) of [T*N, ...].
template <class T>
void Forward<T>::zero_frames(std::int64_t begin, std::int64_t end) const {
  if (posteriors()) std::fill(posteriors() + begin * desc.C, posteriors() + end * desc.C, T(0));
  if (alignment()) std::fill(alignment() + begin * states(), alignment() + end * states(), T(0));
}

template <class T>
void Forward<T>::way_back(std::int64_t n, CtcHalves halves, std::byte* scratch) const {
  if (!walk.possible(n)) return;
  if (std::isnan(walk.number(n)) && halves.first == 0) poison(n);
  if (!std::isfinite(walk.number(n))) return;
  CtcOutputs<T> outputs;
  if (posteriors()) outputs.posteriors = posteriors() + n * desc.C;
  if (alignment()) outputs.alignment = alignment() + n * states();
  outputs.alignment_stride = desc.N * states();
  walk.back(n, halves, scratch, outputs);
}

/// Inputs that are no numbers give posteriors that are none.
template <class T>
void Forward<T>::poison(std::int64_t n) const {
  const CtcSequence& s = walk.sequence(n);
  const T nan = std::numeric_limits<T>::quiet_NaN();
  for (std::int64_t t = 0; t < s.frames; ++t) {
    const std::int64_t r = t * desc.N + n;
    if (alignment()) std::fill_n(alignment() + r * states(), 2 * s.U + 1, nan);
    if (!posteriors()) continue;
    T* row = posteriors() + r * desc.C;
    row[desc.blank] = nan;
    for (std::int64_t u = 0; u < s.U; ++u) row[s.target[u]] = nan;
  }
}

template <class T>
void Forward<T>::reduce() const {
  const CtcFactors factors(desc, walk);
  const bool each = desc.reduction == op::CtcDesc::Reduction::none;
  T* loss = out<T>(arguments, op::kCtcLoss);
  double total = 0;
  for (std::int64_t n = 0; n < desc.N; ++n) {
    const double nll = walk.number(n), factor = factors.of(n, walk.sequence(n), in<T>(arguments, op::kCtcWeights));
    const bool counts = factor != 0 && !(std::isinf(nll) && desc.impossible == op::CtcDesc::Impossible::zero);
    const double part = counts ? factor * nll : 0;
    total += part;
    if (each && loss) loss[n] = static_cast<T>(part);
    if (T* all = out<T>(arguments, op::kCtcPerSequence)) all[n] = static_cast<T>(nll);
    if (auto* status = out<std::int32_t>(arguments, op::kCtcStatus)) {
      status[n] = walk.possible(n) ? 0 : static_cast<std::int32_t>(walk.sequence(n).needed);
    }
  }
  if (!each && loss) *loss = static_cast<T>(total);
}

}  // namespace

template <class T>
void compute(const op::CtcForwardDesc& d, const Arguments& a) {
  Forward<T>{d, a, CtcWalk<T>(d, a, d.training ? a.outputs[op::kCtcKept] : nullptr)}.run();
}

// By a logit: softmax - posterior; by a log-probability: -posterior; each times d loss and the factor of its sequence.
template <class T>
void compute(const op::CtcBackwardDesc& d, const Arguments& a) {
  using Gradient = typename CtcKept<T>::Gradient;
  const CtcWalk<T> walk(d, a, const_cast<void*>(a.inputs[op::kCtcReserve]));
  const T *d_loss = in<T>(a, op::kCtcDLoss), *weights = in<T>(a, op::kCtcWeights);
  const CtcFactors factors(d, walk);
  const bool each = d.reduction == op::CtcDesc::Reduction::none;
  for (std::int64_t n = 0; n < d.N; ++n) {
    walk.number(n) = factors.of(n, walk.sequence(n), weights) * static_cast<double>(d_loss[each ? n : 0]);
  }
  walk.for_each(*a.parallel, [&](std::int64_t n, CtcHalves halves, std::byte* scratch) {
    const T scale = static_cast<T>(walk.number(n));
    const Gradient kind = scale == T(0) ? Gradient::zero : *walk.kept(n).gradient;
    const std::int64_t frames = kind == Gradient::zero ? 0 : walk.sequence(n).frames;
    T* gradient = out<T>(a, 0) + n * d.C;
    if (kind == Gradient::finite) {
      CtcOutputs<T> outputs;
      outputs.gradient = gradient;
      outputs.scale = scale;
      walk.back(n, halves, scratch, outputs);
    }
    if (halves.first > 0) return;
    // What lies behind a sequence, even NaN, has no part in the loss.
    const T nan = std::numeric_limits<T>::quiet_NaN();
    for (std::int64_t t = kind == Gradient::nan ? 0 : frames; t < d.T; ++t) {
      std::fill_n(gradient + t * d.N * d.C, d.C, t < frames ? nan : T(0));
    }
  });
}

SEQGPU_INSTANTIATE(CtcForwardDesc)
SEQGPU_INSTANTIATE(CtcBackwardDesc)

}  // namespace seqgpu::device::cpu
