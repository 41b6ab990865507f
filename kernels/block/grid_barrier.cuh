#pragma once

#include "kernels/block/cuda.cuh"
#include "kernels/block/ptx.cuh"

namespace seqgpu::kernels {

/// A barrier of some blocks of one cooperative grid, in two halves: between arrive() and wait() a block may do what
/// needs nobody else's results. Every thread of every one of these blocks calls both, by turns.
///
/// One counter in global memory, zero at launch, counts arrivals and is never reset: round r is over at r * blocks.
/// What any thread wrote before arrive() is seen by every thread after wait(): __syncthreads hands the writes of the
/// block to its first thread, whose release hands them on to whoever acquires the counter, and back the same way.
class GridBarrier {
 public:
  __device__ GridBarrier(unsigned* counter, unsigned blocks) : counter_(counter), blocks_(blocks) {}

  __device__ void arrive() {
    __syncthreads();
    target_ += blocks_;
    if (blocks_ > 1 && threadIdx.x == 0) red_add_release(counter_, 1u);
  }

  __device__ void wait() const {
    if (blocks_ == 1) return;  // arrive() was enough
    if (threadIdx.x == 0)
      while (static_cast<int>(load_acquire(counter_) - target_) < 0) spin_pause();  // right when the count wraps, too
    __syncthreads();
  }

 private:
  unsigned* counter_;
  unsigned blocks_;
  unsigned target_ = 0;
};

}  // namespace seqgpu::kernels
