#include "kernels/reduce/reduce.cuh"

namespace seqgpu::kernels {
namespace {

LaunchShape shape_of(const ReducePlan& plan, CUstream_st* stream) {
  return {.grid = dim3(blocks_for(plan.tiles_in * plan.tiles_out * plan.parts, 1)),
          .block = dim3(kElementThreads),
          .stream = stream};
}

}  // namespace

std::size_t reduce_workspace(std::int64_t outer, std::int64_t extent, std::int64_t inner) {
  const ReducePlan plan = ReducePlan::of(outer, extent, inner);
  return plan.parts == 1 ? 0 : static_cast<std::size_t>(outer * plan.parts * inner) * sizeof(double);
}

void reduce(const ReduceArgs& args, CUstream_st* stream) {
  if (args.outer * args.inner == 0) return;
  const auto [x, y, outer, extent, inner, kind, workspace] = args;
  const ReducePlan plan = ReducePlan::of(outer, extent, inner);
  if (plan.parts == 1) {
    const ReducePass<float> pass{x, nullptr, y, x, outer, extent, inner, extent, kind, plan};
    return launch(reduce_kernel<float>, shape_of(plan, stream), pass);
  }
  auto* sums = static_cast<double*>(workspace);
  launch(reduce_kernel<float>, shape_of(plan, stream),
         ReducePass<float>{x, sums, y, x, outer, extent, inner, extent, kind, plan});
  ReducePlan last = ReducePlan::of(outer, plan.parts, inner);
  last.parts = 1;
  launch(reduce_kernel<double>, shape_of(last, stream),
         ReducePass<double>{sums, nullptr, y, x, outer, plan.parts, inner, extent, kind, last});
}

void reduce_backward(const ReduceBackwardArgs& args, CUstream_st* stream) {
  if (args.outer * args.extent * args.inner == 0) return;
  if (args.kind == ReduceKind::max) {
    ReducePlan plan = ReducePlan::of(args.outer, args.extent, args.inner);
    plan.parts = 1;
    return launch(reduce_largest_backward_kernel, shape_of(plan, stream), LargestPass{args, plan});
  }
  if (args.inner == 1) return launch(reduce_spread_rows_kernel, rows_shape(args.outer, args.extent, stream), args);
  launch(reduce_spread_kernel, rows_shape(args.outer * args.extent, args.inner, stream), args);
}

}  // namespace seqgpu::kernels
