#include "kernels/shape/shape.cuh"

namespace seqgpu::kernels {

void copy_rows(const CopyRowsArgs& args, CUstream_st* stream) {
  std::int64_t widest = 0;
  bool vectors = true;
  for (int i = 0; i < args.count; ++i) {
    const RowsPart& part = args.parts[i];
    widest = part.width > widest ? part.width : widest;
    vectors = vectors && (part.width | part.from_stride | part.to_stride) % 4 == 0 && is_aligned(part.from, part.to);
  }
  if (args.rows == 0 || widest == 0) return;
  LaunchShape shape = rows_shape(args.rows, vectors ? widest / 4 : widest, stream);
  shape.grid.z = static_cast<unsigned>(args.count);
  launch(vectors ? copy_rows_kernel<float4> : copy_rows_kernel<float>, shape, args);
}

void pad_rows(const PadRowsArgs& args, CUstream_st* stream) {
  if (args.rows * args.width > 0) launch(pad_rows_kernel, rows_shape(args.rows, args.width, stream), args);
}

void window(const WindowArgs& args, CUstream_st* stream) {
  if (args.N == 0) return;
  // Without elements there still are lengths to check.
  launch(window_kernel, rows_shape(args.T * args.N * (2 * args.radius + 1), args.E, stream), args);
}

void window_backward(const WindowBackwardArgs& args, CUstream_st* stream) {
  if (args.T * args.N * args.E > 0) launch(window_backward_kernel, rows_shape(args.T * args.N, args.E, stream), args);
}

}  // namespace seqgpu::kernels
