#pragma once

#include "kernels/recurrent/grid_plan.hpp"
#include "kernels/recurrent/grid_weights.cuh"

// The two products with a block's slice of the recurrent weights, for up to 8 sequences at once, each one warp's work.
// Sums are f32, in an order that depends on the plan alone: not on how many sequences there are, nor on which.
namespace seqgpu::kernels {

/// Sums over the lanes of a warp, all `Count` at once: halves of the values are exchanged for halves of the lanes while
/// their number is even, whole ones after that.
/// @param first   index of the first sum that this lane holds at the end, in v[0], v[1], ...
/// @return how many it holds; every sum lies with at least one lane
template <int Count, int Mask = 16>
__device__ int sum_over_lanes(float* v, int lane, int& first) {
  if constexpr (Mask == 0) {
    return Count;
  } else if constexpr (Count % 2 == 0) {
    const bool upper = (lane & Mask) != 0;
    first += upper ? Count / 2 : 0;
#pragma unroll
    for (int i = 0; i < Count / 2; ++i) {
      const float kept = upper ? v[Count / 2 + i] : v[i], given = upper ? v[i] : v[Count / 2 + i];
      v[i] = kept + __shfl_xor_sync(0xFFFFFFFFu, given, Mask);
    }
    return sum_over_lanes<Count / 2, Mask / 2>(v, lane, first);
  } else {
#pragma unroll
    for (int i = 0; i < Count; ++i) v[i] += __shfl_xor_sync(0xFFFFFFFFu, v[i], Mask);
    return sum_over_lanes<Count, Mask / 2>(v, lane, first);
  }
}

/// How many lanes end up with the same sums: the masks at which the number of values was odd.
template <int Count, int Mask = 16>
constexpr int repeated_lanes() {
  if constexpr (Mask == 0) {
    return 0;
  } else if constexpr (Count % 2 == 0) {
    return repeated_lanes<Count / 2, Mask / 2>();
  } else {
    return Mask | repeated_lanes<Count, Mask / 2>();
  }
}

template <int Count>
constexpr int held_sums() {
  int count = Count;
  for (int mask = 16; mask > 0 && count % 2 == 0; mask /= 2) count /= 2;
  return count;
}

/// products[row][n] of `count` <= `Rows` rows of weights and `Sequences` rows of h, over this part's columns k. Lanes
/// share k, a float4 each, so that both loads are free of bank conflicts.
/// @param products  of this part, [count][kProductStride]
template <class Weight, int Rows, int Sequences>
__device__ void multiply_rows(const GridPlan& plan, const typename Weight::Stored* weights, int stride, int count,
                              const float* h, int part, float* products) {
  const int lane = threadIdx.x % 32;
  float sums[Rows * Sequences] = {};
  int offset[Rows];  // where there are no more rows, the last one is multiplied again
#pragma unroll
  for (int r = 0; r < Rows; ++r) offset[r] = min(r, count - 1) * stride;
  for (int k = part * 128 + lane * 4; k < plan.row; k += plan.parts * 128) {
    float4 x[Sequences];
#pragma unroll
    for (int n = 0; n < Sequences; ++n) x[n] = *reinterpret_cast<const float4*>(h + n * plan.row + k);
#pragma unroll
    for (int r = 0; r < Rows; ++r) {
      const float4 w = Weight::load4(weights + offset[r] + k);
#pragma unroll
      for (int n = 0; n < Sequences; ++n) {
        float& sum = sums[r * Sequences + n];
        sum = fmaf(w.x, x[n].x, sum);
        sum = fmaf(w.y, x[n].y, sum);
        sum = fmaf(w.z, x[n].z, sum);
        sum = fmaf(w.w, x[n].w, sum);
      }
    }
  }
  __syncwarp();
  int first = 0;
  sum_over_lanes<Rows * Sequences>(sums, lane, first);
  if (lane & repeated_lanes<Rows * Sequences>()) return;
#pragma unroll
  for (int i = 0; i < held_sums<Rows * Sequences>(); ++i) {
    const int row = (first + i) / Sequences, n = (first + i) % Sequences;
    if (row < count) products[row * grid::kProductStride + n] = sums[i];
  }
}

/// to[n][0, 1] = sum over rows r of d[n][r] * weights[r][0, 1], for n < count <= Sequences. Lanes share the columns; d
/// is the same for all of them.
/// @param rows  a multiple of 4
template <class Weight, int Sequences>
__device__ void multiply_columns(const typename Weight::Stored* weights, int stride, const float* d, int rows,
                                 float* to, std::int64_t to_stride, int count) {
  float sums[Sequences][2] = {};
  for (int r = 0; r < rows; r += 4) {
    float2 w[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) w[i] = Weight::load2(weights + (r + i) * stride);
#pragma unroll
    for (int n = 0; n < Sequences; ++n) {
      const float4 x = *reinterpret_cast<const float4*>(d + n * rows + r);
      sums[n][0] = fmaf(x.w, w[3].x, fmaf(x.z, w[2].x, fmaf(x.y, w[1].x, fmaf(x.x, w[0].x, sums[n][0]))));
      sums[n][1] = fmaf(x.w, w[3].y, fmaf(x.z, w[2].y, fmaf(x.y, w[1].y, fmaf(x.x, w[0].y, sums[n][1]))));
    }
  }
#pragma unroll
  for (int n = 0; n < Sequences; ++n)
    if (n < count) *reinterpret_cast<float2*>(to + n * to_stride) = make_float2(sums[n][0], sums[n][1]);
}

/// Calls body.template operator()<Sequences>() with the fewest of 1, 2, 4 and 8 that are at least `count`.
template <class Body>
__device__ void with_sequences(int count, const Body& body) {
  if (count > 4)
    body.template operator()<8>();
  else if (count > 2)
    body.template operator()<4>();
  else if (count > 1)
    body.template operator()<2>();
  else
    body.template operator()<1>();
}

}  // namespace seqgpu::kernels
