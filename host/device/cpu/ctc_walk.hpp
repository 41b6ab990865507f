#pragma once

#include "device/cpu/ctc_plan.hpp"
#include "device/cpu/table.hpp"

// What forward and backward of CTC share: where each sequence's things are, and the way back through it.
namespace seqgpu::device::cpu {

template <class T>
class CtcWalk {
 public:
  /// Checks lengths and labels. @param reserve  forward's output, or null to keep it in the workspace
  CtcWalk(const op::CtcDesc& d, const Arguments& a, void* reserve);

  const CtcSequence& sequence(std::int64_t n) const { return batch_.sequences[n]; }
  const CtcKept<T>& kept(std::int64_t n) const { return batch_.kept[n]; }
  double& number(std::int64_t n) const { return batch_.numbers[n]; }
  bool possible(std::int64_t n) const { return sequence(n).frames >= sequence(n).needed; }
  std::int64_t pieces() const { return pieces_; }
  /// The sequence to be the i-th one walked: those walked at once are not neighbours, which share lines of the cache.
  std::int64_t spread(std::int64_t i) const { return i * step_ % desc_.N; }

  /// Classes, and which labels repeat their predecessor; before anything below.
  void prepare(std::int64_t n) const;
  /// Statistics of frames [begin, end) of x [T*N, C], for all sequences: where pieces of one sequence will want them.
  void read(std::int64_t begin, std::int64_t end) const;
  bool reads_first() const { return pieces_ > 1 && desc_.C > 64 && !desc_.from_log_probs; }
  /// Alpha to the end. @return -ln p(target | x)
  double forward(std::int64_t n) const;
  /// Beta after each piece but the last.
  void boundaries(std::int64_t n) const;
  /// One piece of the way back.
  void back(std::int64_t n, std::int64_t piece, CtcOutputs<T> outputs) const;

 private:
  std::int64_t blocks(std::int64_t n) const { return (sequence(n).frames + block_ - 1) / block_; }
  CtcSource<T> source(std::int64_t n, bool read, bool statistics) const;

  const op::CtcDesc& desc_;
  const T* x_;
  const CtcKernels<T>& kernels_;
  std::int64_t pieces_, block_, step_ = 1;
  CtcBatch<T> batch_;
  CtcReserve<T> reserve_;
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
