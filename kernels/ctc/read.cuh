#pragma once

#include "kernels/ctc/sequence.cuh"

// Launches of their own for what comes before the recursion, where a sequence has too many logits for one block.
//   work    a block for each sequence; then 1 to 32 lanes, or a block where C > 1024, for each frame
//   memory  logits once (twice for the caches: largest, sum), log-probabilities U + 1 a frame
//   limits  N < 2^31
namespace seqgpu::kernels {

__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    ctc_sequences_kernel(CtcForwardArgs a, bool ordered) {
  const std::int64_t n = blockIdx.x;
  const CtcSequence s = ctc_sequence(a, n);
  if (threadIdx.x == 0) a.kept.sequences[n] = s;
  if (ordered) ctc_order_labels(a, s);
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) ctc_frames_kernel(CtcForwardArgs a, int lanes) {
  each_group_row(a.shape.T * a.shape.N, lanes, [&](std::int64_t row, int lane, bool active) {
    const std::int64_t n = active ? row % a.shape.N : 0, t = active ? row / a.shape.N : 0;
    const CtcSequence s = a.kept.sequences[n];
    ctc_read_frame(a, s, n, t, lane, lanes, active && ctc_possible(s) && t < s.frames);
  });
}

}  // namespace seqgpu::kernels
