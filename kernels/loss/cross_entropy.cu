#include "kernels/loss/cross_entropy.cuh"

namespace seqgpu::kernels {

void cross_entropy(const CrossEntropyArgs& args, CUstream_st* stream) {
  const int lanes = row_lanes(args.K);
  auto* sums = static_cast<LossSums*>(args.workspace);
  const LaunchShape shape = row_groups_shape(args.rows, lanes, stream, kLossBlocks);
  launch(cross_entropy_rows_kernel, shape, CrossEntropyPass{args, lanes, sums});
  launch(cross_entropy_mean_kernel, {.grid = dim3(1), .block = dim3(kElementThreads), .stream = stream}, sums,
         static_cast<int>(shape.grid.x), args.loss);
}

void cross_entropy_backward(const CrossEntropyBackwardArgs& args, CUstream_st* stream) {
  if (args.rows == 0) return;
  const int lanes = row_lanes(args.K);
  const unsigned count_blocks = blocks_for(args.rows, 4 * kElementThreads, kElementThreads);
  const CrossEntropyBackwardPass pass{args, lanes, static_cast<int>(count_blocks),
                                      static_cast<LossSums*>(args.workspace)};
  launch(count_labels_kernel, {.grid = dim3(count_blocks), .block = dim3(kElementThreads), .stream = stream}, pass);
  launch(cross_entropy_backward_kernel, row_groups_shape(args.rows, lanes, stream), pass);
}

}  // namespace seqgpu::kernels
