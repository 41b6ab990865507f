#pragma once

#include "kernels/cells/cell.hpp"

namespace seqgpu::cells {

// GRU, reset before the recurrent product (Cho et al. 2014): one hidden unit, one step, in two phases, as the product
// of gate n needs r*h of all units.
//   enter:    r = sigm(wx_r + rh_r)   z = sigm(wx_z + rh_z)       then q = r*h enters the product rh_n = R_n q + b
//   forward:  n = phi(wx_n + rh_n)    h' = (1 - z)*n + z*h
// State h. Saved for backward: r z n.
struct GruResetBeforeCell {
  static constexpr CellKind kKind = CellKind::gru_reset_before;
  static constexpr const char* kName = "gru_reset_before";
  static constexpr int kGates = 3, kStates = 1, kSaved = 3, kUnitParameters = 0;
  static constexpr bool kReadsHidden = true, kSplitGradient = false, kTwoPhase = true;

  /// r and z; the factor of q is r, the first.
  template <class Real>
  SEQGPU_HD static Regs<Real, 2> enter(const CellOptions&, const Regs<Real, 2>& wx, const Regs<Real, 2>& rh) {
    return {{math::sigmoid(wx[0] + rh[0]), math::sigmoid(wx[1] + rh[1])}};
  }

  template <class Real>
  SEQGPU_HD static CellStep<Real, 1, 3> forward(const CellOptions& options, const Regs<Real, 2>& entered, Real wx_n,
                                                Real rh_n, const Regs<Real, 1>& prev) {
    const Real z = entered[1];
    const Real n = math::activate(options.activation, wx_n + rh_n);
    return {{{(Real(1) - z) * n + z * prev[0]}}, {{entered[0], z, n}}};
  }

  /// All but what comes through q: d wx_z, d wx_n, and d h by z*h. d wx_r is 0 here.
  template <class Real>
  SEQGPU_HD static CellGrad<Real, 3, 1, 0, false> backward(const CellOptions& options, const Regs<Real, 3>& saved,
                                                           const Regs<Real, 1>& prev, const Regs<Real, 0>&,
                                                           const Regs<Real, 1>& d_next) {
    const Real z = saved[1], n = saved[2], one = Real(1);
    CellGrad<Real, 3, 1, 0, false> d;
    // d n = d h' (1-z)
    d.wx[2] = d_next[0] * (one - z) * math::slope(options.activation, n);
    // d z = d h' (h - n)
    d.wx[1] = d_next[0] * (prev[0] - n) * z * (one - z);
    d.wx[0] = Real(0);
    d.prev[0] = d_next[0] * z;
    return d;
  }

  /// Given d q = R_n^T d wx_n. h is what entered the product.
  /// @return d wx_r, and d h through q
  template <class Real>
  SEQGPU_HD static Regs<Real, 2> backward_enter(const Regs<Real, 3>& saved, Real h, Real d_q) {
    const Real r = saved[0];
    // q = r*h:  d r = d q h, d h = d q r
    return {{d_q * h * r * (Real(1) - r), d_q * r}};
  }
};
static_assert(RecurrentCell<GruResetBeforeCell>);

}  // namespace seqgpu::cells
