#include "kernels/elementwise/elementwise.cuh"

namespace seqgpu::kernels {

void fill(const FillArgs& args, CUstream_st* stream) {
  if (args.count > 0) launch(fill_kernel, elements_shape(args.count, stream), args);
}

void affine(const AffineArgs& args, CUstream_st* stream) {
  if (args.count > 0) launch(affine_kernel, elements_shape(args.count, stream), args);
}

void binary(const BinaryArgs& args, CUstream_st* stream) {
  if (args.count > 0) launch(binary_kernel, elements_shape(args.count, stream), args);
}

void activation(const ActivationArgs& args, CUstream_st* stream) {
  if (args.count > 0) launch(activation_kernel, elements_shape(args.count, stream), args);
}

void activation_backward(const ActivationBackwardArgs& args, CUstream_st* stream) {
  if (args.count > 0) launch(activation_backward_kernel, elements_shape(args.count, stream), args);
}

}  // namespace seqgpu::kernels
