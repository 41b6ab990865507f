#include "kernels/elementwise/dropout.cuh"

namespace seqgpu::kernels {

void dropout(const DropoutArgs& args, CUstream_st* stream) {
  if (args.count > 0) launch(dropout_kernel, elements_shape(args.count, stream), args);
}

}  // namespace seqgpu::kernels
