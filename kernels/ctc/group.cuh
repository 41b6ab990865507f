#pragma once

#include "kernels/block/ptx.cuh"
#include "kernels/block/reduce.cuh"
#include "kernels/ctc/number.cuh"

// The threads of one direction: up to kCtcWarps warps that walk together. They meet at a barrier of their own, so that
// alpha and beta do not wait for each other; a single warp needs none.
namespace seqgpu::kernels {

/// Sums of one frame's posteriors: of all states, and of the blanks among them.
struct alignas(8) CtcSums {
  unsigned all, blanks;
};

/// Shared memory of one direction.
struct CtcGroupBox {
  CtcFrame frames[kCtcWarps][kCtcBlock];  // of the block at hand: a copy for each warp, which then needs no barrier
  CtcPair boundary[2][kCtcWarps];
  CtcSums sums[kCtcWarps][kCtcBlock];
  unsigned long long total[kCtcWarps];
  int most[kCtcWarps];
};

class CtcGroup {
 public:
  /// @param id  of its barrier
  __device__ CtcGroup(CtcGroupBox& box, unsigned id, int warps, int thread)
      : box_(box), id_(id), warps_(warps), warp_(thread / kWarp), lane_(thread % kWarp) {}

  __device__ int lane() const { return lane_; }
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

  /// Gives this warp the frames of a block, of which lane i brings the i-th.
  __device__ void show(const CtcFrame& mine) {
    __syncwarp();  // the last block's were read
    if (lane_ < kCtcBlock) box_.frames[warp_][lane_] = mine;
    __syncwarp();
  }
  __device__ const CtcFrame& frame(int i) const { return box_.frames[warp_][i]; }

  /// Notes what this thread has of frame i's sums. They are integers, so they are the same in any order, however many
  /// threads there are.
  __device__ void add(int i, CtcSums mine) {
    mine = {__reduce_add_sync(kFullMask, mine.all), __reduce_add_sync(kFullMask, mine.blanks)};
    if (lane_ == 0) box_.sums[warp_][i] = mine;
  }
  /// Between the sums of a block and their first reader, and between the last and the next block's.
  __device__ void sums_meet() const { sync(); }
  __device__ CtcSums sums(int i) const {
    CtcSums sums = {};
    for (int warp = 0; warp < warps_; ++warp) {
      sums.all += box_.sums[warp][i].all;
      sums.blanks += box_.sums[warp][i].blanks;
    }
    return sums;
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
  __device__ void sync() const {
    if (warps_ == 1) return __syncwarp();
    named_barrier(id_, static_cast<unsigned>(threads()));
  }

  CtcGroupBox& box_;
  unsigned id_;
  int warps_, warp_, lane_, turn_ = 0;
};

}  // namespace seqgpu::kernels
