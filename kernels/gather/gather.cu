#include "kernels/gather/gather.cuh"

namespace seqgpu::kernels {

void gather(const GatherArgs& args, CUstream_st* stream) {
  if (args.count == 0) return;
  const bool vectors = args.E % 4 == 0 && is_aligned(args.table, args.y);
  const std::int64_t width = vectors ? args.E / 4 : args.E;
  launch(vectors ? gather_kernel<float4> : gather_kernel<float>, rows_shape(args.count, width, stream), args);
}

}  // namespace seqgpu::kernels
