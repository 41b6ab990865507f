#pragma once

#include "kernels/block/cuda.cuh"
#include "kernels/ctc/launch.hpp"

// Numbers m * 2^k: no range to run out of, and no logarithm in the recursion. What is added to what, and so every bit,
// is a matter of the state alone; the intrinsics keep the compiler from fusing in one kernel and not in another.
namespace seqgpu::kernels {

inline constexpr int kCtcDead = -(1 << 30);  // exponent of 0
inline constexpr int kCtcLive = -(1 << 29);  // exponents below are taken for 0
/// Blocks between two calls of normalise(), 16 frames: a mantissa grows 4.7 times a frame.
inline constexpr int kCtcNormalBlocks = 16 / kCtcBlock;
inline constexpr float kCtcFloor = -2e6f;  // e^x below this is taken for 0
/// Emissions of exactly 1 would leave the roundings of the sums alike from frame to frame, and they add up.
inline constexpr float kCtcFactor = 1.1f;

__device__ __forceinline__ CtcNumber ctc_zero() { return {0.f, kCtcDead}; }

/// 2^(k - top) for k <= top; 0 below the range of floats, as nothing there matters beside 1.
__device__ __forceinline__ float ctc_power(int k, int top) { return __int_as_float(max(k - (top - 127), 0) << 23); }

__device__ __forceinline__ CtcNumber ctc_add(CtcNumber a, CtcNumber b) {
  const int top = max(a.k, b.k);
  return {a.m * ctc_power(a.k, top) + b.m * ctc_power(b.k, top), top};
}
__device__ __forceinline__ CtcNumber ctc_add(CtcNumber a, CtcNumber b, CtcNumber c) {
  const int top = max(max(a.k, b.k), c.k);
  return {a.m * ctc_power(a.k, top) + b.m * ctc_power(b.k, top) + c.m * ctc_power(c.k, top), top};
}
__device__ __forceinline__ CtcNumber ctc_times(CtcNumber a, CtcNumber b) {
  return {a.m * b.m, max(a.k + b.k, kCtcDead)};
}

/// The exponent of a number with its mantissa in [1, 2); kCtcDead for 0.
__device__ __forceinline__ int ctc_exponent(CtcNumber a) {
  const int exponent = a.k + (__float_as_int(a.m) >> 23) - 127;
  return a.m > 0.f && exponent > kCtcLive ? exponent : kCtcDead;
}
/// The same number with its mantissa there.
__device__ __forceinline__ CtcNumber ctc_normal(CtcNumber a) {
  const int exponent = ctc_exponent(a);
  if (exponent == kCtcDead) return ctc_zero();
  return {__int_as_float((__float_as_int(a.m) & 0x7fffff) | 0x3f800000), exponent};
}

/// e^x = m * 2^k with m in [0.70, 1.42], for |x| < 2^21. Cephes' polynomial.
__device__ inline CtcNumber ctc_split(float x) {
  const float n = rintf(__fmul_rn(x, 1.44269504088896341f));
  const float r = __fmaf_rn(n, 2.12194440e-4f, __fmaf_rn(n, -0.693359375f, x));
  float p = __fmaf_rn(1.9875691500e-4f, r, 1.3981999507e-3f);
  p = __fmaf_rn(p, r, 8.3334519073e-3f);
  p = __fmaf_rn(p, r, 4.1665795894e-2f);
  p = __fmaf_rn(p, r, 1.6666665459e-1f);
  p = __fmaf_rn(p, r, 5.0000001201e-1f);
  return {__fadd_rn(__fmaf_rn(p, __fmul_rn(r, r), r), 1.f), __float2int_rn(n)};
}

/// What a column x emits in a frame. exp(x) = emission * e^shift * 2^power / kCtcFactor
__device__ __forceinline__ CtcNumber ctc_emission(float x, float shift, int power) {
  const float moved = __fsub_rn(x, shift);
  if (!(moved > kCtcFloor)) return ctc_zero();  // a NaN too: the loss will be one
  const CtcNumber e = ctc_split(moved);
  return {__fmul_rn(e.m, kCtcFactor), e.k - power};
}

/// A frame whose largest wanted column is `top`. Its exponent becomes 0; a moderate frame is taken as it is, as
/// subtracting its largest would round.
__device__ inline CtcFrame ctc_frame(float top, float blank) {
  CtcFrame frame;
  const bool moderate = fabsf(top) < 1024.f;
  frame.shift = moderate ? 0.f : top;
  frame.power = moderate ? ctc_split(top).k : 0;
  const CtcNumber e = ctc_emission(blank, frame.shift, frame.power);
  frame.blank_m = e.m;
  frame.blank_k = e.k;
  return frame;
}

}  // namespace seqgpu::kernels
