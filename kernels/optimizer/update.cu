#include "kernels/optimizer/update.cuh"

namespace seqgpu::kernels {

void update(const UpdateArgs& args, CUstream_st* stream) {
  launch(prepare_update_kernel, {.grid = dim3(1), .block = dim3(1), .stream = stream}, args);
  if (args.count > 0) launch(update_kernel, elements_shape(args.count, stream), args);
}

}  // namespace seqgpu::kernels
