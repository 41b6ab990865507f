#pragma once

#include "kernels/block/row_group.cuh"

namespace seqgpu::kernels {

/// log(sum(exp(x[0 .. columns)))) for everyone in the group; infinite or NaN where the largest is. A row that is not
/// `active` is not read.
__device__ inline float log_sum_exp(const float* x, std::int64_t columns, int lane, int lanes, bool active) {
  const std::int64_t count = active ? columns : 0;
  float largest = -HUGE_VALF;
#pragma unroll 4
  for (std::int64_t k = lane; k < count; k += lanes) largest = LargerOrNan{}(largest, x[k]);
  largest = fold_lanes(lanes, largest, LargerOrNan{});
  const bool finite = fabsf(largest) < HUGE_VALF;
  float total = 0.f;
#pragma unroll 4
  for (std::int64_t k = lane; k < count; k += lanes) total += expf(x[k] - largest);
  total = fold_lanes(lanes, total, Sum{});
  return finite ? largest + logf(total) : largest;
}

}  // namespace seqgpu::kernels
