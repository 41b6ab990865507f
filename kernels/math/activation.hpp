#pragma once

#include <cmath>
#include <concepts>

#include "seqgpu/cell.hpp"
#include "seqgpu/export.hpp"

// Activations and their slopes, generic in the number type. Real is float, double, or a SIMD pack that brings its own
// exp, tanh, reciprocal, abs and select.
namespace seqgpu::math {

template <std::floating_point Real>
SEQGPU_HD inline Real select(bool condition, Real yes, Real no) {
  return condition ? yes : no;
}

template <std::floating_point Real>
SEQGPU_HD inline Real reciprocal(Real x) {
  return Real(1) / x;
}

/// 1 / (1 + e^-x). An overflowing exponential gives 0, a NaN stays one.
template <class Real>
SEQGPU_HD inline Real sigmoid(Real x) {
  using std::exp;
  return reciprocal(Real(1) + exp(-x));
}

template <class Real>
SEQGPU_HD inline Real hyperbolic_tangent(Real x) {
  using std::tanh;
  return tanh(x);
}

template <class Real>
SEQGPU_HD inline Real activate(Activation activation, Real x) {
  switch (activation) {
    case Activation::linear: return x;
    case Activation::tanh: return hyperbolic_tangent(x);
    case Activation::relu: return select(x < Real(0), Real(0), x);
    case Activation::sigmoid: return sigmoid(x);
  }
  return x;
}

/// The slope of an activation, from its value y.
template <class Real>
SEQGPU_HD inline Real slope(Activation activation, Real y) {
  switch (activation) {
    case Activation::linear: return Real(1);
    case Activation::tanh: return Real(1) - y * y;
    case Activation::relu: return select(y > Real(0), Real(1), Real(0));
    case Activation::sigmoid: return y * (Real(1) - y);
  }
  return Real(1);
}

/// x brought into [-limit, limit]; a NaN stays one.
template <class Real>
SEQGPU_HD inline Real clip(Real x, Real limit) {
  return select(x > limit, limit, select(x < -limit, -limit, x));
}

/// The gradient through clip(), from the clipped value.
template <class Real>
SEQGPU_HD inline Real clip_gradient(Real clipped, Real limit, Real d) {
  using std::abs;
  return select(abs(clipped) < limit, d, Real(0));
}

}  // namespace seqgpu::math
