#include "kernels/optimizer/gradient_norm.cuh"

namespace seqgpu::kernels {

void gradient_norm(const GradientNormArgs& args, CUstream_st* stream) {
  const unsigned blocks = blocks_for(args.count, 16 * kElementThreads, kNormBlocks);
  launch(square_sums_kernel, {.grid = dim3(blocks), .block = dim3(kElementThreads), .stream = stream}, args);
  launch(norm_kernel, {.grid = dim3(1), .block = dim3(kElementThreads), .stream = stream}, args,
         static_cast<int>(blocks));
}

}  // namespace seqgpu::kernels
