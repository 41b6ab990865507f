#pragma once

#include <cstdint>

#include "kernels/block/ptx.cuh"

// How a block keeps its weights in shared memory: as they are, or rounded to bf16. Four or two neighbours are read at
// once, as f32.
namespace seqgpu::kernels {

struct WeightF32 {
  using Stored = float;
  __device__ static Stored pack(float w) { return w; }
  __device__ static void store4(Stored* to, float4 w) { *reinterpret_cast<float4*>(to) = w; }
  __device__ static float4 load4(const Stored* w) { return *reinterpret_cast<const float4*>(w); }
  __device__ static float2 load2(const Stored* w) { return *reinterpret_cast<const float2*>(w); }
};

struct WeightBf16 {
  using Stored = std::uint16_t;

  __device__ static Stored pack(float w) { return static_cast<Stored>(pack_bf16x2(w, 0.f)); }
  __device__ static void store4(Stored* to, float4 w) {
    *reinterpret_cast<uint2*>(to) = make_uint2(pack_bf16x2(w.x, w.y), pack_bf16x2(w.z, w.w));
  }
  __device__ static float4 load4(const Stored* w) {
    const uint2 pairs = *reinterpret_cast<const uint2*>(w);
    return make_float4(bf16_low(pairs.x), bf16_high(pairs.x), bf16_low(pairs.y), bf16_high(pairs.y));
  }
  __device__ static float2 load2(const Stored* w) {
    const unsigned pair = *reinterpret_cast<const unsigned*>(w);
    return make_float2(bf16_low(pair), bf16_high(pair));
  }
};

/// Rows [first, first + rows) of w [., width] into shared memory, each padded with zeros to `row` columns; then zero
/// rows up to `padded`. Several loads of a lane are on their way at once, of 16 bytes each where rows are aligned.
template <class Weight>
__device__ void load_weights(const float* w, std::int64_t first, int rows, int width, int row, int padded,
                             std::int64_t stride, typename Weight::Stored* to) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  const int by_four = width % 4 == 0 ? width : 0;
  for (int r = warp; r < padded; r += warps) {
    const float* from = w + (first + r) * width;
    auto* into = to + r * stride;
    const int loaded = r < rows ? width : 0;
    if (r < rows)
#pragma unroll 4
      for (int k = lane * 4; k < by_four; k += 128)
        Weight::store4(into + k, *reinterpret_cast<const float4*>(from + k));
#pragma unroll 8
    for (int k = (r < rows ? by_four : 0) + lane; k < loaded; k += 32) into[k] = Weight::pack(from[k]);
    for (int k = loaded + lane; k < row; k += 32) into[k] = Weight::pack(0.f);
  }
}

}  // namespace seqgpu::kernels
