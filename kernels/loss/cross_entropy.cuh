#pragma once

#include "kernels/block/log_sum_exp.cuh"
#include "kernels/block/ragged.cuh"
#include "kernels/loss/launch.hpp"

// Cross-entropy, fused with its softmax.
//   work    forward: 1 to 32 lanes, or a block where K > 1024, for each row; then one block adds the blocks' sums in
//           order, in double. Backward: some blocks count labels, then one pass as in the forward
//   memory  forward: logits twice, the second time from cache (once more with smoothing); backward: logits once
//   limits  rows < 2^32, as a fault's index
namespace seqgpu::kernels {

inline constexpr int kLossBlocks = 512;  // at most: what kLossWorkspace holds sums and counts of
static_assert(kLossBlocks * (sizeof(double) + sizeof(std::int64_t)) <= kLossWorkspace);

struct LossSums {
  double sum[kLossBlocks];
  std::int64_t count[kLossBlocks];
};

struct CrossEntropyPass {
  CrossEntropyArgs args;
  int lanes;
  LossSums* sums;
};

/// Does the row count? False for illegal labels too.
template <class Args>
__device__ inline bool label_counts(const Args& p, std::int64_t row) {
  if (!row_counts(p.lengths, row, p.N)) return false;
  const std::int32_t label = p.labels[row];
  return label != p.ignore_index && label >= 0 && label < p.K;
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) cross_entropy_rows_kernel(CrossEntropyPass p) {
  const CrossEntropyArgs& a = p.args;
  if (a.N > 0) check_lengths(a.lengths, a.N, a.rows / a.N, a.faults);
  const double smoothing = static_cast<double>(a.smoothing);
  double sum = 0;
  std::int64_t count = 0;
  each_group_row(a.rows, p.lanes, [&](std::int64_t row, int lane, bool active) {
    const bool counts = active && label_counts(a, row);
    const float* logits = a.logits + row * a.K;
    const float total = log_sum_exp(logits, a.K, lane, p.lanes, counts);
    double mean = 0;
    if (smoothing > 0) {
      for (std::int64_t k = lane; counts && k < a.K; k += p.lanes) mean += static_cast<double>(logits[k]);
      mean = fold_lanes(p.lanes, mean, Sum{}) / static_cast<double>(a.K);
    }
    if (!active || lane != 0) return;
    if (a.lse) a.lse[row] = counts ? total : 0.f;
    if (!counts) {
      const std::int32_t label = a.labels[row];
      if (row_counts(a.lengths, row, a.N) && label != a.ignore_index) {
        report_fault(a.faults, FaultyArgument::values, row, label);
      }
      return;
    }
    sum += (1 - smoothing) * static_cast<double>(total - logits[a.labels[row]]);
    if (smoothing > 0) sum += smoothing * (static_cast<double>(total) - mean);
    ++count;
  });
  sum = block_sum(sum);
  count = block_sum(count);
  if (threadIdx.x == 0) {
    p.sums->sum[blockIdx.x] = sum;
    p.sums->count[blockIdx.x] = count;
  }
}

/// The mean of what `blocks` blocks found; one block.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    cross_entropy_mean_kernel(const LossSums* sums, int blocks, float* loss) {
  double sum = 0;
  std::int64_t count = 0;
  for (int i = static_cast<int>(threadIdx.x); i < blocks; i += kElementThreads) {
    sum += sums->sum[i];
    count += sums->count[i];
  }
  sum = block_sum(sum);
  count = block_sum(count);
  if (threadIdx.x == 0) *loss = static_cast<float>(count > 0 ? sum / static_cast<double>(count) : 0.0);
}

struct CrossEntropyBackwardPass {
  CrossEntropyBackwardArgs args;
  int lanes, count_blocks;
  LossSums* sums;
};

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) count_labels_kernel(CrossEntropyBackwardPass p) {
  std::int64_t count = 0;
  for (std::int64_t row = thread_of_grid(); row < p.args.rows; row += threads_of_grid()) {
    count += label_counts(p.args, row);
  }
  count = block_sum(count);
  if (threadIdx.x == 0) p.sums->count[blockIdx.x] = count;
}

// dlogits = (softmax - (1-s) onehot - s/K) dloss / count
__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    cross_entropy_backward_kernel(CrossEntropyBackwardPass p) {
  const CrossEntropyBackwardArgs& a = p.args;
  std::int64_t count = 0;
  for (int i = static_cast<int>(threadIdx.x); i < p.count_blocks; i += kElementThreads) count += p.sums->count[i];
  count = block_sum(count);
  const float scale = count > 0 ? *a.dloss / static_cast<float>(count) : 0.f;
  const float offset = scale * (a.smoothing / static_cast<float>(a.K)), hit = scale * (1.f - a.smoothing);
  each_group_row(a.rows, p.lanes, [&](std::int64_t row, int lane, bool active) {
    if (!active) return;
    const bool counts = label_counts(a, row);
    const float total = counts ? a.lse[row] : 0.f;
    const std::int64_t label = counts ? a.labels[row] : -1;
    const float* logits = a.logits + row * a.K;
    float* dlogits = a.dlogits + row * a.K;
#pragma unroll 4
    for (std::int64_t k = lane; k < a.K; k += p.lanes) {
      float d = 0.f;
      if (counts) d = scale * expf(logits[k] - total) - offset;
      dlogits[k] = k == label ? d - hit : d;
    }
  });
}

}  // namespace seqgpu::kernels
