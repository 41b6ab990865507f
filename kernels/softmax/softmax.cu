#include "kernels/softmax/softmax.cuh"

namespace seqgpu::kernels {
namespace {

constexpr std::int64_t kMostBlocks = 8192;

}  // namespace

void softmax(const SoftmaxArgs& args, CUstream_st* stream) {
  if (args.rows * args.columns == 0) return;
  const int lanes = row_lanes(args.columns);
  launch(softmax_kernel, row_groups_shape(args.rows, lanes, kMostBlocks, stream), RowsPass<SoftmaxArgs>{args, lanes});
}

void softmax_backward(const SoftmaxBackwardArgs& args, CUstream_st* stream) {
  if (args.rows * args.columns == 0) return;
  const int lanes = row_lanes(args.columns);
  launch(softmax_backward_kernel, row_groups_shape(args.rows, lanes, kMostBlocks, stream),
         RowsPass<SoftmaxBackwardArgs>{args, lanes});
}

}  // namespace seqgpu::kernels
