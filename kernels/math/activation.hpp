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

/// Single-precision tanh for packs, without an exponential: a quotient of two polynomials in x^2, the minimax fit that
/// Eigen and XLA use. Within 2.7e-7 of the value, relatively; beyond +-7.905 tanh is 1 in single precision.
template <class Real>
SEQGPU_HD inline Real tanh_quotient(Real x) {
  const Real most = Real(7.90531110763549805f);
  const Real high = select(x > most, most, x);
  const Real c = select(high < -most, -most, high);  // a NaN stays
  const Real z = c * c;
  Real p = Real(-2.76076847742355e-16f);
  p = p * z + Real(2.00018790482477e-13f);
  p = p * z + Real(-8.60467152213735e-11f);
  p = p * z + Real(5.12229709037114e-08f);
  p = p * z + Real(1.48572235717979e-05f);
  p = p * z + Real(6.37261928875436e-04f);
  p = p * z + Real(4.89352455891786e-03f);
  Real q = Real(1.19825839466702e-06f);
  q = q * z + Real(1.18534705686654e-04f);
  q = q * z + Real(2.26843463243900e-03f);
  q = q * z + Real(4.89352518554385e-03f);
  return c * p / q;
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
