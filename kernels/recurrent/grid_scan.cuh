#pragma once

#include "kernels/block/grid_barrier.cuh"
#include "kernels/recurrent/grid_launch.hpp"
#include "kernels/recurrent/grid_product.cuh"
#include "kernels/recurrent/step.cuh"

// What the forward and the backward kernel of the grid-persistent strategy share: what a block owns, what a thread of
// it owns, and where a sequence stands.
namespace seqgpu::kernels {

template <class AnyScan>
struct GridArgs {
  AnyScan scan;
  GridPlan plan;
  const std::int32_t* order = nullptr;   // [N], see GridOrder
  const std::int32_t* length = nullptr;  // [N]
  unsigned* counters = nullptr;          // [groups][kGridCounterStride]
  float* exchange = nullptr;             // [2][N][row], backward [2][slices][N][row]
  float* carry = nullptr;                // [states][N][H]
};

/// A block's units, and the sequences of its group: number j of them has rank j * groups + group.
struct GridBlock {
  int group, slice, first_unit, units, sequences;

  __device__ GridBlock(const GridPlan& plan, const Scan& scan)
      : group(blockIdx.x / plan.slices),
        slice(blockIdx.x % plan.slices),
        first_unit(slice * plan.units),
        units(min(plan.units, static_cast<int>(scan.H) - first_unit)),
        sequences(static_cast<int>((scan.N - group + plan.groups - 1) / plan.groups)) {}
  __device__ std::int64_t rank(const GridPlan& plan, int j) const { return std::int64_t{j} * plan.groups + group; }
};

/// The cell that a thread runs in every tile, unless it has none: sequence `n` of the tile, unit `u` of the block.
/// Neighbouring threads have neighbouring units.
struct GridCell {
  int n, u;
  bool exists;

  __device__ GridCell(const GridPlan& plan, const GridBlock& block)
      : n(threadIdx.x / plan.units), u(threadIdx.x % plan.units), exists(n < kGridTile && u < block.units) {}
};

/// Row (t, n) of step s, which is before the sequence's end.
__device__ inline std::int64_t grid_row(const Scan& scan, std::int64_t sequence, int length, int s) {
  return (scan.reverse ? length - 1 - s : s) * scan.N + sequence;
}

/// Calls clear(row) with all lanes of a warp for each row (t, n) past a length.
template <class Clear>
__device__ void for_each_padded_row(const Scan& scan, const Clear& clear) {
  if (!scan.lengths) return;
  const std::int64_t warps = gridDim.x * blockDim.x / 32;
  for (std::int64_t row = (blockIdx.x * blockDim.x + threadIdx.x) / 32; row < scan.T * scan.N; row += warps)
    if (row / scan.N >= scan.lengths[row % scan.N]) clear(row);
}

__device__ inline void clear_row(float* tensor, std::int64_t row, std::int64_t width) {
  for (std::int64_t i = threadIdx.x % 32; tensor && i < width; i += 32) tensor[row * width + i] = 0;
}

template <int Count>
__device__ Regs<float, Count> load_parameters(const float* from, std::int64_t stride) {
  Regs<float, Count> to{};
#pragma unroll
  for (int i = 0; i < Count; ++i)
    if (from) to[i] = from[i * stride];
  return to;
}

}  // namespace seqgpu::kernels
