#pragma once

#include "kernels/cells/cell.hpp"

namespace seqgpu::cells {

// Minimal gated unit (Zhou et al. 2016), its gate applied after the recurrent product: one hidden unit, one step.
//   f = sigm(wx_f + rh_f)   n = phi(wx_n + f*rh_n)
//   h' = (1 - f)*h + f*n
// State h. Saved for backward: f n rh_n.
struct MguCell {
  static constexpr CellKind kKind = CellKind::mgu;
  static constexpr const char* kName = "mgu";
  static constexpr int kGates = 2, kStates = 1, kSaved = 3, kUnitParameters = 0;
  static constexpr bool kReadsHidden = true, kSplitGradient = true, kTwoPhase = false;

  template <class Real>
  SEQGPU_HD static CellStep<Real, 1, 3> forward(const CellOptions& options, const Regs<Real, 2>& wx,
                                                const Regs<Real, 2>& rh, const Regs<Real, 1>& prev,
                                                const Regs<Real, 0>&) {
    const Real f = math::sigmoid(wx[0] + rh[0]);
    const Real n = math::activate(options.activation, wx[1] + f * rh[1]);
    return {{{(Real(1) - f) * prev[0] + f * n}}, {{f, n, rh[1]}}};
  }

  template <class Real>
  SEQGPU_HD static CellGrad<Real, 2, 1, 0, true> backward(const CellOptions& options, const Regs<Real, 3>& saved,
                                                          const Regs<Real, 1>& prev, const Regs<Real, 0>&,
                                                          const Regs<Real, 1>& d_next) {
    const Real f = saved[0], n = saved[1], one = Real(1);
    CellGrad<Real, 2, 1, 0, true> d;
    // d n = d h' f;  d wx_n = d n phi'
    d.wx[1] = d_next[0] * f * math::slope(options.activation, n);
    // d f = d h' (n - h) + d wx_n rh_n
    d.wx[0] = (d_next[0] * (n - prev[0]) + d.wx[1] * saved[2]) * f * (one - f);
    // f reads a sum; n reads f*rh_n
    d.rh[0] = d.wx[0];
    d.rh[1] = f * d.wx[1];
    // h also enters by (1 - f)*h
    d.prev[0] = d_next[0] * (one - f);
    return d;
  }
};
static_assert(RecurrentCell<MguCell>);

}  // namespace seqgpu::cells
