#pragma once

#include "kernels/block/elements.cuh"
#include "kernels/elementwise/launch.hpp"
#include "kernels/math/activation.hpp"

// Elementwise operations.
//   work    one thread per four elements (per element where a pointer is not 16-byte aligned), grid-stride
//   memory  each input once, each output once, coalesced
//   limits  none
namespace seqgpu::kernels {

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) fill_kernel(FillArgs p) {
  map_elements(p.count, p.y, [=] { return p.value; });
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) affine_kernel(AffineArgs p) {
  map_elements(
      p.count, p.y, [=](float x) { return p.scale * x + p.shift; }, p.x);
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) activation_kernel(ActivationArgs p) {
  // The switch stands outside the loops: each activation is its own.
  switch (p.activation) {
    case Activation::linear:
      return map_elements(
          p.count, p.y, [](float x) { return x; }, p.x);
    case Activation::tanh:
      return map_elements(
          p.count, p.y, [](float x) { return math::hyperbolic_tangent(x); }, p.x);
    case Activation::relu:
      return map_elements(
          p.count, p.y, [](float x) { return math::activate(Activation::relu, x); }, p.x);
    case Activation::sigmoid:
      return map_elements(
          p.count, p.y, [](float x) { return math::sigmoid(x); }, p.x);
  }
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks)
    activation_backward_kernel(ActivationBackwardArgs p) {
  // relu passes dy on or gives 0, and never 0 * dy: as on the CPU, an infinite dy of a dead unit does no harm.
  map_elements(
      p.count, p.dx,
      [=](float dy, float y) {
        if (p.activation == Activation::relu) return y > 0.f ? dy : 0.f;
        return dy * math::slope(p.activation, y);
      },
      p.dy, p.y);
}

/// y = f(a, b) with b repeated. A thread's column moves on by a constant, which saves a division for each element.
template <class Unit, class F>
__device__ inline void map_repeated(const BinaryArgs& p, std::int64_t count, std::int64_t inner, F f) {
  const auto* a = reinterpret_cast<const Unit*>(p.a);
  const auto* b = reinterpret_cast<const Unit*>(p.b);
  auto* y = reinterpret_cast<Unit*>(p.y);
  const std::int64_t stride = threads_of_grid(), step = stride % inner;
  std::int64_t column = thread_of_grid() % inner;
  for (std::int64_t i = thread_of_grid(); i < count; i += stride) {
    y[i] = f(a[i], b[column]);
    column += step;
    if (column >= inner) column -= inner;
  }
}

template <class F>
__device__ inline void binary_map(const BinaryArgs& p, F f) {
  if (p.inner == p.count) return map_elements(p.count, p.y, f, p.a, p.b);
  if (p.inner % 4 == 0 && is_aligned(p.a, p.b, p.y)) {
    return map_repeated<float4>(p, p.count / 4, p.inner / 4, [=](float4 a, float4 b) { return each_lane(f, a, b); });
  }
  map_repeated<float>(p, p.count, p.inner, f);
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) binary_kernel(BinaryArgs p) {
  if (p.product) {
    binary_map(p, [](float a, float b) { return a * b; });
  } else {
    binary_map(p, [](float a, float b) { return a + b; });
  }
}

}  // namespace seqgpu::kernels
