#pragma once

#include "kernels/ctc/sequence.cuh"

// From posteriors by label to rows of all classes: the gradient, and the posteriors as an output.
//   work    1 to 32 lanes, or a block where C > 1024, for each frame: first all classes, then those of the target, of
//           which one thread adds up a class's labels in the order of their places
//   memory  logits once, the result once and its U + 1 columns twice, the second time from cache
//   limits  none
namespace seqgpu::kernels {

struct CtcRowsPass {
  CtcShape shape;
  CtcKept kept;
  const float* x;  // logits, or null: a row is its posteriors
  const std::int32_t* targets;
  const float* d_loss;  // [] or [N]; null: the result are the posteriors themselves
  bool each;            // d_loss is [N]
  float* y;             // [T, N, C]; may be x
  int lanes;
};

// By a logit: softmax - posterior; by a log-probability: -posterior; each times d loss and the factor of its sequence.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) ctc_rows_kernel(CtcRowsPass p) {
  const CtcShape& z = p.shape;
  each_group_row(z.T * z.N, p.lanes, [&](std::int64_t row, int lane, bool active) {
    const std::int64_t n = active ? row % z.N : 0, t = active ? row / z.N : 0;
    const CtcSequence& s = p.kept.sequences[n];
    const float scale = p.d_loss ? static_cast<float>(s.factor * static_cast<double>(p.d_loss[p.each ? n : 0])) : -1.f;
    // Of a frame that has no part in the loss nothing is read, be it NaN.
    const bool counts = active && t < s.frames && s.alive && scale != 0.f;
    const float* x = p.x ? p.x + row * z.C : nullptr;
    float* y = p.y + row * z.C;
    const std::int64_t at = n * z.T + t;
    const float largest = counts && x ? p.kept.largest[at] : 0.f;
    const float by_sum = counts && x ? scale / p.kept.sum[at] : 0.f;
    const float otherwise = counts && p.d_loss && isnan(s.negative_log) ? NAN : 0.f;  // a loss that is no number
#pragma unroll 4
    for (std::int64_t c = lane; active && c < z.C; c += p.lanes) {
      y[c] = counts && x ? by_sum * expf(x[c] - largest) + otherwise : otherwise;
    }
    if (p.lanes > kWarp) {
      __syncthreads();
    } else {
      __syncwarp();
    }
    if (!counts) return;
    const float* posteriors = ctc_columns(z, p.kept, s, n, t);
    const std::int32_t *order = p.kept.order + s.first, *target = p.targets + s.first;
    if (lane == 0) y[z.blank] -= scale * posteriors[s.labels];
    for (std::int64_t i = lane; i < s.labels; i += p.lanes) {
      const std::int32_t label = target[order[i]];
      if (i > 0 && target[order[i - 1]] == label) continue;  // the first of its class adds up all
      double sum = 0;
      for (std::int64_t k = i; k < s.labels && target[order[k]] == label; ++k) {
        sum += static_cast<double>(posteriors[order[k]]);
      }
      y[label] -= scale * static_cast<float>(sum);
    }
  });
}

}  // namespace seqgpu::kernels
