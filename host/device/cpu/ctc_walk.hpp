#pragma once

#include <atomic>

#include "device/cpu/ctc_plan.hpp"
#include "device/cpu/table.hpp"

// What forward and backward of CTC share: where each sequence's things are, the way to its middle and the way back.
namespace seqgpu::device::cpu {

/// Which halves of a sequence; see CtcHalf.
struct CtcHalves {
  int first = 0, end = 2;
};

template <class T>
class CtcWalk {
 public:
  /// Checks lengths and labels. @param reserve  forward's output, or null to keep it in the workspace
  CtcWalk(const op::CtcDesc& d, const Arguments& a, void* reserve);

  const CtcSequence& sequence(std::int64_t n) const { return batch_.sequences[n]; }
  const CtcKept<T>& kept(std::int64_t n) const { return batch_.kept[n]; }
  double& number(std::int64_t n) const { return batch_.numbers[n]; }
  bool possible(std::int64_t n) const { return sequence(n).frames >= sequence(n).needed; }
  /// Calls f(n, halves, scratch) until each half of each sequence has had its turn. Whoever is free takes the next, so
  /// that a thread stays with memory that is in its cache.
  template <class F>
  void for_each(Parallel& parallel, F&& f) const {
    const int parts = ctc_parts(desc_);
    const std::int64_t count = desc_.N * parts;
    std::atomic<std::int64_t> next{0};
    parallel.for_each(std::min(lanes_, count), [&](std::int64_t lane) {
      std::byte* scratch = scratch_ + static_cast<std::size_t>(lane) * lane_bytes_;
      for (std::int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) {
        const int part = static_cast<int>(i % parts);
        f(spread(i / parts), parts == 2 ? CtcHalves{part, part + 1} : CtcHalves{}, scratch);
      }
    });
  }
  /// Alpha through the first half, beta through the second. @return whether both are at the middle now
  bool to_middle(std::int64_t n, CtcHalves halves, std::byte* scratch) const;
  /// Where they are. @return -ln p(target | x)
  double meet(std::int64_t n, std::byte* scratch) const;
  /// Back from the middle, after all of the above.
  void back(std::int64_t n, CtcHalves halves, std::byte* scratch, CtcOutputs<T> outputs) const;

 private:
  /// The sequence to be the k-th one walked: those walked at once are not neighbours, which share lines of the cache.
  std::int64_t spread(std::int64_t k) const { return k * step_ % desc_.N; }
  CtcScratch<T> prepare(std::int64_t n, std::byte* memory) const;
  CtcSource<T> source(std::int64_t n, const CtcScratch<T>& scratch, bool read) const;
  std::int64_t blocks(std::int64_t n, int half) const;
  CtcBlock<T> block(std::int64_t n, int half, std::int64_t i, const CtcScratch<T>& scratch) const;
  void back(const CtcSource<T>& s, std::int64_t n, int half, const CtcScratch<T>& scratch,
            const CtcOutputs<T>& outputs) const;
  double& scale(std::int64_t n, int half) const { return batch_.scales[2 * n + half]; }

  const op::CtcDesc& desc_;
  const T* x_;
  const CtcKernels<T>& kernels_;
  std::int64_t block_, step_ = 1;
  CtcBatch<T> batch_;
  CtcReserve<T> reserve_;
  std::byte* scratch_;  // [lanes_] CtcScratch, lane_bytes_ each
  std::size_t lane_bytes_;
  std::int64_t lanes_;
};

/// What each sequence's loss is multiplied with; 0 where it does not count.
class CtcFactors {
 public:
  template <class T>
  CtcFactors(const op::CtcDesc& d, const CtcWalk<T>& walk) : desc_(d) {
    using R = op::CtcDesc::Reduction;
    std::int64_t frames = 0, tokens = 0;
    for (std::int64_t n = 0; n < d.N; ++n) frames += walk.sequence(n).frames, tokens += walk.sequence(n).U;
    std::int64_t by = 1;
    if (d.reduction == R::mean_by_target || d.reduction == R::mean_by_batch) by = d.N;
    if (d.reduction == R::mean_by_frames) by = frames;
    if (d.reduction == R::mean_by_tokens) by = tokens;
    divisor_ = static_cast<double>(std::max<std::int64_t>(by, 1));
  }
  template <class T>
  double of(std::int64_t n, const CtcSequence& s, const T* weights) const {
    const bool by_target = desc_.reduction == op::CtcDesc::Reduction::mean_by_target;
    const double own = by_target ? static_cast<double>(std::max<std::int64_t>(s.U, 1)) : 1.0;
    return (weights ? static_cast<double>(weights[n]) : 1.0) / (own * divisor_);
  }

 private:
  const op::CtcDesc& desc_;
  double divisor_;
};

}  // namespace seqgpu::device::cpu
