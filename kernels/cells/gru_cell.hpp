#pragma once

#include "kernels/cells/cell.hpp"

namespace seqgpu::cells {

// GRU, reset after the recurrent product: one hidden unit, one step.     wx holds b_ih, rh holds b_hh
//   r = sigm(wx_r + rh_r)   z = sigm(wx_z + rh_z)   n = phi(wx_n + r*rh_n)
//   h' = (1 - z)*n + z*h
// State h. Saved for backward: r z n rh_n.
struct GruCell {
  static constexpr CellKind kKind = CellKind::gru;
  static constexpr const char* kName = "gru";
  static constexpr int kGates = 3, kStates = 1, kSaved = 4, kUnitParameters = 0;
  static constexpr bool kReadsHidden = true, kSplitGradient = true, kTwoPhase = false;

  template <class Real>
  SEQGPU_HD static CellStep<Real, 1, 4> forward(const CellOptions& options, const Regs<Real, 3>& wx,
                                                const Regs<Real, 3>& rh, const Regs<Real, 1>& prev,
                                                const Regs<Real, 0>&) {
    const Real r = math::sigmoid(wx[0] + rh[0]);
    const Real z = math::sigmoid(wx[1] + rh[1]);
    const Real n = math::activate(options.activation, wx[2] + r * rh[2]);
    return {{{(Real(1) - z) * n + z * prev[0]}}, {{r, z, n, rh[2]}}};
  }

  template <class Real>
  SEQGPU_HD static CellGrad<Real, 3, 1, 0, true> backward(const CellOptions& options, const Regs<Real, 4>& saved,
                                                          const Regs<Real, 1>& prev, const Regs<Real, 0>&,
                                                          const Regs<Real, 1>& d_next) {
    const Real r = saved[0], z = saved[1], n = saved[2], one = Real(1);
    CellGrad<Real, 3, 1, 0, true> d;
    // d n = d h' (1-z);  d wx_n = d n phi'
    d.wx[2] = d_next[0] * (one - z) * math::slope(options.activation, n);
    // n reads r*rh_n:  d r = d wx_n rh_n
    d.wx[0] = d.wx[2] * saved[3] * r * (one - r);
    // d z = d h' (h - n)
    d.wx[1] = d_next[0] * (prev[0] - n) * z * (one - z);
    // r and z read a sum, so both terms get the same; d rh_n = r d wx_n
    d.rh[0] = d.wx[0];
    d.rh[1] = d.wx[1];
    d.rh[2] = r * d.wx[2];
    // h also enters by z*h
    d.prev[0] = d_next[0] * z;
    return d;
  }
};
static_assert(RecurrentCell<GruCell>);

}  // namespace seqgpu::cells
