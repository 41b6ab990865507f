#pragma once

#include <type_traits>

#include "kernels/block/elements.cuh"
#include "kernels/reduce/launch.hpp"

// Sum, mean or maximum over the middle axis of [outer, extent, inner], in double: the error does not grow with the
// extent. A maximum is the first element if that is a NaN; NaNs further on do not count (x > best is false).
//   work    a block is a box of outputs x lanes x columns threads; lanes share one sum and meet in shared memory. A
//           long extent with few outputs is cut in parts, whose sums a second launch adds in order
//   memory  x once, coalesced along inner, or along the extent where inner is 1
//   limits  none
namespace seqgpu::kernels {

/// How a block's threads are laid out, and how many parts the extent is cut in; a function of the sizes only.
struct ReducePlan {
  int columns, lanes, outputs;  // powers of two, together kElementThreads
  std::int64_t tiles_in;        // of `columns` along inner
  std::int64_t tiles_out;       // of `outputs` along outer
  std::int64_t parts;           // of the extent

  static ReducePlan of(std::int64_t outer, std::int64_t extent, std::int64_t inner) {
    ReducePlan plan{1, 1, 1, 0, 0, 1};
    while (plan.columns < 32 && plan.columns < inner) plan.columns *= 2;
    while (plan.columns * plan.lanes < kElementThreads && plan.lanes < extent) plan.lanes *= 2;
    plan.outputs = kElementThreads / (plan.columns * plan.lanes);
    plan.tiles_in = (inner + plan.columns - 1) / plan.columns;
    plan.tiles_out = (outer + plan.outputs - 1) / plan.outputs;
    // Parts of at least 16 rounds, until there are some 500 blocks.
    const std::int64_t blocks = plan.tiles_in * plan.tiles_out;
    while (plan.parts * blocks < 512 && plan.parts * 2 * plan.lanes * 16 <= extent) plan.parts *= 2;
    return plan;
  }
};

template <class From>
struct ReducePass {
  const From* x;       // [outer, extent, inner]
  double* sums;        // [outer, parts, inner]; null in the last pass, which writes y
  float* y;            // [outer, inner]
  const float* first;  // x of the first pass: [outer, first_extent, inner]
  std::int64_t outer, extent, inner, first_extent;
  ReduceKind kind;
  ReducePlan plan;
};

/// Where a thread stands in its block's box.
struct BoxPlace {
  int column, lane, output;
};
__device__ inline BoxPlace place_in_box(const ReducePlan& plan) {
  const int thread = static_cast<int>(threadIdx.x);
  return {thread % plan.columns, thread / plan.columns % plan.lanes, thread / (plan.columns * plan.lanes)};
}

template <class From>
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) reduce_kernel(ReducePass<From> p) {
  auto& folded = shared<double[kElementThreads]>();
  const auto [column, lane, output] = place_in_box(p.plan);
  const bool largest = p.kind == ReduceKind::max;
  const std::int64_t parts = p.plan.parts, span = (p.extent + parts - 1) / parts;
  const std::int64_t tiles = p.plan.tiles_in * p.plan.tiles_out * parts;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t part = tile % parts, rest = tile / parts;
    const std::int64_t i = rest % p.plan.tiles_in * p.plan.columns + column;
    const std::int64_t o = rest / p.plan.tiles_in * p.plan.outputs + output;
    const std::int64_t begin = part * span, end = begin + span < p.extent ? begin + span : p.extent;
    double value = largest ? -HUGE_VAL : 0;
    if (i < p.inner && o < p.outer) {
      const From* x = p.x + o * p.extent * p.inner + i;
      if (largest) {
#pragma unroll 4
        for (std::int64_t e = begin + lane; e < end; e += p.plan.lanes) {
          const double candidate = static_cast<double>(x[e * p.inner]);
          value = candidate > value ? candidate : value;
        }
      } else {
#pragma unroll 4
        for (std::int64_t e = begin + lane; e < end; e += p.plan.lanes) value += static_cast<double>(x[e * p.inner]);
      }
    }
    folded[threadIdx.x] = value;
    for (int half = p.plan.lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half) {
        const double other = folded[threadIdx.x + half * p.plan.columns];
        value = largest ? (other > value ? other : value) : value + other;
        folded[threadIdx.x] = value;
      }
    }
    __syncthreads();  // before `folded` is written again
    if (lane != 0 || i >= p.inner || o >= p.outer) continue;
    if (p.sums) {
      p.sums[(o * parts + part) * p.inner + i] = value;
      continue;
    }
    if (p.kind == ReduceKind::mean && p.first_extent > 0) value /= static_cast<double>(p.first_extent);
    if (largest) {
      const float start = p.first_extent > 0 ? p.first[o * p.first_extent * p.inner + i] : 0.f;
      if (start != start || p.first_extent == 0) value = static_cast<double>(start);
    }
    p.y[o * p.inner + i] = static_cast<float>(value);
  }
}

__device__ inline float spread_scale(const ReduceBackwardArgs& p) {
  return p.kind == ReduceKind::mean ? 1.f / static_cast<float>(p.extent) : 1.f;
}

/// The gradient of sum and mean: dy of its output, for each element. Where inner is 1, a whole row gets one number.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) reduce_spread_rows_kernel(ReduceBackwardArgs p) {
  const float scale = spread_scale(p);
  each_of_rows(p.outer, p.extent, [&](std::int64_t o, std::int64_t e) { p.dx[o * p.extent + e] = p.dy[o] * scale; });
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) reduce_spread_kernel(ReduceBackwardArgs p) {
  const float scale = spread_scale(p);
  each_of_rows(p.outer * p.extent, p.inner, [&](std::int64_t row, std::int64_t i) {
    p.dx[row * p.inner + i] = p.dy[row / p.extent * p.inner + i] * scale;
  });
}

struct LargestPass {
  ReduceBackwardArgs args;
  ReducePlan plan;
};

/// The gradient of the maximum: dy where it stands (the lowest index of a tie), else 0.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) reduce_largest_backward_kernel(LargestPass p) {
  auto& values = shared<float[kElementThreads]>();
  auto& places = shared<std::int64_t[kElementThreads]>();
  const auto [column, lane, output] = place_in_box(p.plan);
  const ReduceBackwardArgs& a = p.args;
  const std::int64_t tiles = p.plan.tiles_in * p.plan.tiles_out;
  for (std::int64_t tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    const std::int64_t i = tile % p.plan.tiles_in * p.plan.columns + column;
    const std::int64_t o = tile / p.plan.tiles_in * p.plan.outputs + output;
    const bool inside = i < a.inner && o < a.outer;
    const float* x = a.x + o * a.extent * a.inner + i;
    float best = -HUGE_VALF;
    std::int64_t at = a.extent;  // none yet
    for (std::int64_t e = lane; inside && e < a.extent; e += p.plan.lanes) {
      const float candidate = x[e * a.inner];
      if (candidate > best || (candidate == best && e < at)) {
        best = candidate;
        at = e;
      }
    }
    values[threadIdx.x] = best;
    places[threadIdx.x] = at;
    for (int half = p.plan.lanes / 2; half > 0; half /= 2) {
      __syncthreads();
      if (lane >= half) continue;
      const float other = values[threadIdx.x + half * p.plan.columns];
      const std::int64_t there = places[threadIdx.x + half * p.plan.columns];
      if (other > best || (other == best && there < at)) {
        best = other;
        at = there;
      }
      values[threadIdx.x] = best;
      places[threadIdx.x] = at;
    }
    __syncthreads();
    if (inside) {
      at = places[threadIdx.x - lane * p.plan.columns];
      if (at == a.extent || x[0] != x[0]) at = 0;  // nothing but NaNs, or one in front, which stays
      const float dy = a.dy[o * a.inner + i];
      for (std::int64_t e = lane; e < a.extent; e += p.plan.lanes) {
        a.dx[(o * a.extent + e) * a.inner + i] = e == at ? dy : 0.f;
      }
    }
    __syncthreads();  // before the shared arrays are written again
  }
}

}  // namespace seqgpu::kernels
