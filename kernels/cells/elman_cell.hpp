#pragma once

#include "kernels/cells/cell.hpp"

namespace seqgpu::cells {

// Elman: one hidden unit, one step.
//   h' = phi(wx + rh)
// State h. Saved for backward: h'.
struct ElmanCell {
  static constexpr CellKind kKind = CellKind::elman;
  static constexpr const char* kName = "elman";
  static constexpr int kGates = 1, kStates = 1, kSaved = 1, kUnitParameters = 0;
  static constexpr bool kReadsHidden = false, kSplitGradient = false, kTwoPhase = false;

  template <class Real>
  SEQGPU_HD static CellStep<Real, 1, 1> forward(const CellOptions& options, const Regs<Real, 1>& wx,
                                                const Regs<Real, 1>& rh, const Regs<Real, 1>&, const Regs<Real, 0>&) {
    const Real h = math::activate(options.activation, wx[0] + rh[0]);
    return {{{h}}, {{h}}};
  }

  template <class Real>
  SEQGPU_HD static CellGrad<Real, 1, 1, 0, false> backward(const CellOptions& options, const Regs<Real, 1>& saved,
                                                           const Regs<Real, 1>&, const Regs<Real, 0>&,
                                                           const Regs<Real, 1>& d_next) {
    CellGrad<Real, 1, 1, 0, false> d;
    // d a = d h' phi'(a)
    d.wx[0] = d_next[0] * math::slope(options.activation, saved[0]);
    // h enters through rh alone
    d.prev[0] = Real(0);
    return d;
  }
};
static_assert(RecurrentCell<ElmanCell>);

}  // namespace seqgpu::cells
