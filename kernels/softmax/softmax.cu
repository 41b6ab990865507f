#include "kernels/softmax/softmax.cuh"

namespace seqgpu::kernels {

void softmax(const SoftmaxArgs& args, CUstream_st* stream) {
  if (args.rows * args.columns == 0) return;
  const int lanes = row_lanes(args.columns);
  launch(softmax_kernel, row_groups_shape(args.rows, lanes, stream), RowsPass<SoftmaxArgs>{args, lanes});
}

void softmax_backward(const SoftmaxBackwardArgs& args, CUstream_st* stream) {
  if (args.rows * args.columns == 0) return;
  const int lanes = row_lanes(args.columns);
  launch(softmax_backward_kernel, row_groups_shape(args.rows, lanes, stream),
         RowsPass<SoftmaxBackwardArgs>{args, lanes});
}

}  // namespace seqgpu::kernels
