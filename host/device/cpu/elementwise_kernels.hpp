#pragma once

#include <cstdint>

#include "op/desc.hpp"

// Elementwise loops that pay for wide registers, one table per instruction set; see dispatch.hpp.
namespace seqgpu::device::cpu {

/// One optimiser pass: pointers are to the flat buffers, whose length is a multiple of 16 elements.
template <class T>
struct OptimizerPass {
  op::OptimizerDesc::Kind kind;
  bool nesterov;
  T rate, beta1, beta2, epsilon, decay, scale, clip, ema, correct1, correct2;
  T *p, *m, *v, *average;
  const T* g;
};

template <class T>
struct DropoutPass {
  const T* x;
  T* y;
  std::int64_t period;
  float rate;
  std::uint64_t key, step;  // Philox
};

template <class T>
struct ElementwiseKernels {
  /// log sum exp of `count` >= 1 elements; infinite or NaN where the largest is.
  T (*log_sum_exp)(const T* x, std::int64_t count);
  /// y = scale * exp(x - shift) - offset
  void (*exponentials)(const T* x, T shift, T scale, T offset, T* y, std::int64_t count);
  void (*activate)(Activation activation, const T* x, T* y, std::int64_t count);
  /// Sums in double, in an order that does not depend on the instruction set.
  double (*sum)(const T* x, std::int64_t count);
  double (*sum_squares)(const T* x, std::int64_t count);
  /// Elements [begin, end).
  void (*update)(const OptimizerPass<T>& pass, std::int64_t begin, std::int64_t end);
  void (*dropout)(const DropoutPass<T>& pass, std::int64_t begin, std::int64_t end);
};

}  // namespace seqgpu::device::cpu
