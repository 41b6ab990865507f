#pragma once

#include "kernels/block/log_sum_exp.cuh"
#include "kernels/softmax/launch.hpp"

// Softmax along rows.
//   work    1 to 32 lanes, or a block where columns > 1024, for each row
//   memory  forward: x three times (largest, sum, result), the last two from cache; backward: y and dy twice
//   limits  none
namespace seqgpu::kernels {

template <class Args>
struct RowsPass {
  Args args;
  int lanes;
};

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) softmax_kernel(RowsPass<SoftmaxArgs> p) {
  const SoftmaxArgs& a = p.args;
  each_group_row(a.rows, p.lanes, [&](std::int64_t row, int lane, bool active) {
    const float* x = a.x + row * a.columns;
    float* y = a.y + row * a.columns;
    const float total = log_sum_exp(x, a.columns, lane, p.lanes, active);
    if (!active) return;
    if (a.log) {
      for (std::int64_t k = lane; k < a.columns; k += p.lanes) y[k] = x[k] - total;
    } else {
      for (std::int64_t k = lane; k < a.columns; k += p.lanes) y[k] = expf(x[k] - total);
    }
  });
}

// softmax: dx = y (dy - sum y dy).   log-softmax: dx = dy - exp(y) sum dy.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    softmax_backward_kernel(RowsPass<SoftmaxBackwardArgs> p) {
  const SoftmaxBackwardArgs& a = p.args;
  each_group_row(a.rows, p.lanes, [&](std::int64_t row, int lane, bool active) {
    const float* y = a.y + row * a.columns;
    const float* dy = a.dy + row * a.columns;
    float* dx = a.dx + row * a.columns;
    float total = 0.f;
    for (std::int64_t k = lane; active && k < a.columns; k += p.lanes) total += a.log ? dy[k] : y[k] * dy[k];
    total = fold_lanes(p.lanes, total, Sum{});
    for (std::int64_t k = lane; active && k < a.columns; k += p.lanes) {
      dx[k] = a.log ? dy[k] - expf(y[k]) * total : y[k] * (dy[k] - total);
    }
  });
}

}  // namespace seqgpu::kernels
