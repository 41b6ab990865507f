#include "kernels/block/elements.cuh"
#include "kernels/recurrent/grid_launch.hpp"

// Sequences by falling length, so that those still running are always the first ones.
//   work    one thread per sequence counts those before it: N^2 reads, all from cache; grid ceil(N / 256)
//   memory  reads lengths, writes order and length [N] and the counters of the barriers
namespace seqgpu::kernels {
namespace {

__global__ void __launch_bounds__(kElementThreads) grid_order_kernel(GridOrder p) {
  for (std::int64_t i = thread_of_grid(); i < p.groups * kGridCounterStride; i += threads_of_grid()) p.counters[i] = 0;
  for (std::int64_t n = thread_of_grid(); n < p.N; n += threads_of_grid()) {
    const auto whole = static_cast<std::int32_t>(p.T);
    const std::int32_t own = p.lengths ? p.lengths[n] : whole;
    std::int64_t rank = p.lengths ? 0 : n;
    for (std::int64_t m = 0; p.lengths && m < p.N; ++m) {
      const std::int32_t other = p.lengths[m];
      if (other > own || (other == own && m < n)) ++rank;
    }
    p.order[rank] = static_cast<std::int32_t>(n);
    p.length[rank] = own;
  }
}

}  // namespace

void grid_order(const GridOrder& p, Stream stream) {
  launch(grid_order_kernel,
         {.grid = dim3(blocks_for(p.N, kElementThreads)), .block = dim3(kElementThreads), .stream = stream}, p);
}

}  // namespace seqgpu::kernels
