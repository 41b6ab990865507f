#pragma once

#include <cmath>
#include <concepts>

#include "seqgpu/cell.hpp"
#include "seqgpu/export.hpp"

// Activations and their slopes, generic in the number type. Real is float, double, or a SIMD pack that brings its own
// exp, tanh, abs and select.
namespace seqgpu::math {

template <std::floating_point Real>
SEQGPU_HD inline Real select(bool condition, Real yes, Real no) {
  return condition ? yes : no;
}

/// 1 / (1 + e^-x). An overflowing exponential gives 0, a NaN stays one.
template <class Real>
SEQGPU_HD inline Real sigmoid(Real x) {
  using std::exp;
  return Real(1) / (Real(1) + exp(-x));
}

template <class Real>
SEQGPU_HD inline Real hyperbolic_tangent(Real x) {
  using std::tanh;
  return tanh(x);
}

/// Single-precision tanh out of exp, for packs. Below 0.625 an odd minimax polynomial (Cephes tanhf), as
/// 1 - 2 / (e^2x + 1) would cancel there.
template <class Real>
SEQGPU_HD inline Real tanh_from_exp(Real x) {
  using std::abs;
  using std::exp;
  const Real z = x * x;
  Real p = Real(-5.70498872745e-3f);
  p = p * z + Real(2.06390887954e-2f);
  p = p * z + Real(-5.37397155531e-2f);
  p = p * z + Real(1.33314422036e-1f);
  p = p * z + Real(-3.33332819422e-1f);
  const Real small = p * z * x + x;
  const Real large = Real(1) - Real(2) / (exp(x + x) + Real(1));
  return select(abs(x) < Real(0.625f), small, large);
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
