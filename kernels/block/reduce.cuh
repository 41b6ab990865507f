#pragma once

#include <cstdint>

#include "kernels/block/cuda.cuh"

// Sums, maxima and prefix sums over a warp or a block, by shuffles. The order of operations depends on the block's size
// alone, so results are the same bits in every run. All threads of the warp (block) must call, in blocks of whole
// warps, one-dimensional; all get the result.

namespace seqgpu::kernels {

constexpr unsigned kFullMask = 0xffffffffu;
constexpr int kWarp = 32;

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
  template <class T>
  static __device__ __forceinline__ constexpr T identity() {
    return T(0);
  }
};

/// NaN is passed over as in fmaxf; the identity of floating-point types is minus infinity.
struct Max {
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
  __device__ __forceinline__ double operator()(double a, double b) const { return fmax(a, b); }
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
  template <class T>
  static __device__ __forceinline__ constexpr T identity() {
    if constexpr (T(0.5) != T(0))
      return static_cast<T>(-INFINITY);
    else if constexpr (T(-1) < T(0))
      return static_cast<T>(T(1) << (8 * sizeof(T) - 1));
    else
      return T(0);
  }
};

/// op over the 32 lanes, by halving distance: (((v0+v16)+(v8+v24))+...).
template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = op(value, __shfl_xor_sync(kFullMask, value, distance));
  return value;
}
template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Sum{});
}
template <class T>
__device__ __forceinline__ T warp_max(T value) {
  return warp_reduce(value, Max{});
}

/// op over lanes 0 to this one.
template <class Op, class T>
__device__ __forceinline__ T warp_inclusive_scan(T value, Op op) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const T before = __shfl_up_sync(kFullMask, value, distance);
    if (lane >= distance) value = op(before, value);
  }
  return value;
}

/// op over the block: each warp, then the warps' results in one warp. Two barriers.
/// @tparam Tag  tells calls apart that must not share their 32 cells of shared memory; usually none is needed
template <class Tag = void, class Op, class T>
__device__ __forceinline__ T block_reduce(T value, Op op) {
  struct Parts {
    T warps[kWarp];
  };
  Parts& parts = shared<Parts, Tag>();
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  value = warp_reduce(value, op);
  if (lane == 0) parts.warps[warp] = value;
  __syncthreads();
  value = warp_reduce(lane < warps ? parts.warps[lane] : Op::template identity<T>(), op);
  __syncthreads();  // the next call may write parts
  return value;
}
template <class T>
__device__ __forceinline__ T block_sum(T value) {
  return block_reduce(value, Sum{});
}
template <class T>
__device__ __forceinline__ T block_max(T value) {
  return block_reduce(value, Max{});
}

/// op over threads 0 to this one of the block. Two barriers.
template <class Tag = void, class Op, class T>
__device__ __forceinline__ T block_inclusive_scan(T value, Op op) {
  struct Totals {
    T warps[kWarp];
  };
  Totals& totals = shared<Totals, Tag>();
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  value = warp_inclusive_scan(value, op);
  if (lane == kWarp - 1) totals.warps[warp] = value;
  __syncthreads();
  const T total = lane < warps ? totals.warps[lane] : Op::template identity<T>();
  const T up_to = warp_inclusive_scan(total, op);
  if (warp > 0) value = op(__shfl_sync(kFullMask, up_to, warp - 1), value);
  __syncthreads();  // the next call may write totals
  return value;
}

}  // namespace seqgpu::kernels
