#include "kernels/loss/squared_error.cuh"

namespace seqgpu::kernels {

void squared_error(const SquaredErrorArgs& args, CUstream_st* stream) {
  const unsigned blocks = blocks_for(args.rows * args.width, 4 * kElementThreads, kSumBlocks);
  launch(squared_error_sums_kernel, {.grid = dim3(blocks), .block = dim3(kElementThreads), .stream = stream}, args);
  launch(squared_error_mean_kernel, {.grid = dim3(1), .block = dim3(kElementThreads), .stream = stream}, args,
         static_cast<int>(blocks));
}

void squared_error_backward(const SquaredErrorBackwardArgs& args, CUstream_st* stream) {
  if (args.rows * args.width == 0) return;
  launch(count_rows_kernel, {.grid = dim3(1), .block = dim3(kElementThreads), .stream = stream}, args);
  launch(squared_error_backward_kernel,
         args.lengths ? rows_shape(args.rows, args.width, stream) : elements_shape(args.rows * args.width, stream),
         args);
}

}  // namespace seqgpu::kernels
