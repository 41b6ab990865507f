#pragma once

#include "kernels/block/ptx.cuh"
#include "kernels/block/reduce.cuh"
#include "kernels/ctc/number.cuh"

// The threads of one direction: up to kCtcWarps warps that walk together. They meet at a barrier of their own, so that
// alpha and beta do not wait for each other; a single warp needs none.
namespace seqgpu::kernels {

/// Shared memory of one direction.
struct CtcGroupBox {
  CtcPair boundary[2][kCtcWarps];
  int most[kCtcWarps];
  unsigned sums[kCtcWarps][2 * kCtcBlock];
  unsigned long long total[kCtcWarps];
};

class CtcGroup {
 public:
  /// @param id  of its barrier
  __device__ CtcGroup(CtcGroupBox& box, unsigned id, int warps, int thread)
      : box_(box), id_(id), warps_(warps), warp_(thread / kWarp), lane_(thread % kWarp) {}

  __device__ int thread() const { return warp_ * kWarp + lane_; }
  __device__ int threads() const { return warps_ * kWarp; }

  /// The thread before's; ctc_zero() for the first.
  __device__ CtcNumber from_left(CtcNumber mine) {
    CtcNumber left{__shfl_up_sync(kFullMask, mine.m, 1), __shfl_up_sync(kFullMask, mine.k, 1)};
    if (warps_ > 1) {
      if (lane_ == kWarp - 1) box_.boundary[turn_][warp_].label = mine;
      sync();
      if (lane_ == 0 && warp_ > 0) left = box_.boundary[turn_][warp_ - 1].label;
      turn_ ^= 1;  // whoever is still reading this turn's has not come to the next barrier
    }
    return thread() == 0 ? ctc_zero() : left;
  }

  /// The thread behind's; zeros for the last.
  __device__ CtcPair from_right(CtcPair mine) {
    CtcPair right{{__shfl_down_sync(kFullMask, mine.blank.m, 1), __shfl_down_sync(kFullMask, mine.blank.k, 1)},
                  {__shfl_down_sync(kFullMask, mine.label.m, 1), __shfl_down_sync(kFullMask, mine.label.k, 1)}};
    if (warps_ > 1) {
      if (lane_ == 0) box_.boundary[turn_][warp_] = mine;
      sync();
      if (lane_ == kWarp - 1 && warp_ + 1 < warps_) right = box_.boundary[turn_][warp_ + 1];
      turn_ ^= 1;
    }
    return thread() + 1 == threads() ? CtcPair{ctc_zero(), ctc_zero()} : right;
  }

  __device__ int most(int value) {
    value = __reduce_max_sync(kFullMask, value);
    if (warps_ == 1) return value;
    if (lane_ == 0) box_.most[warp_] = value;
    sync();
    value = __reduce_max_sync(kFullMask, lane_ < warps_ ? box_.most[lane_] : kCtcDead * 2);
    sync();
    return value;
  }

  /// Sums of integers, which are the same in any order, however many threads there are.
  __device__ void add_up(unsigned (&sums)[2 * kCtcBlock]) {
#pragma unroll
    for (unsigned& sum : sums) sum = __reduce_add_sync(kFullMask, sum);
    if (warps_ == 1) return;
    if (lane_ == 0) {
#pragma unroll
      for (int i = 0; i < 2 * kCtcBlock; ++i) box_.sums[warp_][i] = sums[i];
    }
    sync();
#pragma unroll
    for (int i = 0; i < 2 * kCtcBlock; ++i) {
      sums[i] = __reduce_add_sync(kFullMask, lane_ < warps_ ? box_.sums[lane_][i] : 0u);
    }
    sync();
  }
  __device__ unsigned long long add_up(unsigned long long value) {
    value = warp_sum(value);
    if (warps_ == 1) return value;
    if (lane_ == 0) box_.total[warp_] = value;
    sync();
    value = warp_sum(lane_ < warps_ ? box_.total[lane_] : 0ull);
    sync();
    return value;
  }

 private:
  __device__ void sync() const { named_barrier(id_, static_cast<unsigned>(threads())); }

  CtcGroupBox& box_;
  unsigned id_;
  int warps_, warp_, lane_, turn_ = 0;
};

}  // namespace seqgpu::kernels
