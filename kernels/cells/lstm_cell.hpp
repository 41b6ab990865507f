#pragma once

#include "kernels/cells/cell.hpp"

namespace seqgpu::cells {

// LSTM: one hidden unit, one step.        a = wx + rh, biases already inside; p: peepholes, rows i f o
//   i = sigm(a_i + p_i*c)   f = sigm(a_f + p_f*c)   g = phi(a_g)   or, coupled, i = 1 - f
//   c' = clip(f*c + i*g)    o = sigm(a_o + p_o*c')                 h' = o*psi(c')
// States h, c. Saved for backward: i f g o c' psi(c').
struct LstmCell {
  static constexpr CellKind kKind = CellKind::lstm;
  static constexpr const char* kName = "lstm";
  static constexpr int kGates = 4, kStates = 2, kSaved = 6, kUnitParameters = 3;
  static constexpr bool kReadsHidden = false, kSplitGradient = false, kTwoPhase = false;

  template <class Real>
  SEQGPU_HD static CellStep<Real, 2, 6> forward(const CellOptions& options, const Regs<Real, 4>& wx,
                                                const Regs<Real, 4>& rh, const Regs<Real, 2>& prev,
                                                const Regs<Real, 3>& unit) {
    const Real c = prev[1];
    Real a_i = wx[0] + rh[0], a_f = wx[1] + rh[1], a_o = wx[3] + rh[3];
    if (options.peephole) {
      a_i = a_i + unit[0] * c;
      a_f = a_f + unit[1] * c;
    }
    const Real f = math::sigmoid(a_f);
    const Real i = options.coupled_gates ? Real(1) - f : math::sigmoid(a_i);
    const Real g = math::activate(options.activation, wx[2] + rh[2]);
    Real next = f * c + i * g;
    if (options.cell_clip > 0) next = math::clip(next, Real(options.cell_clip));
    if (options.peephole) a_o = a_o + unit[2] * next;
    const Real o = math::sigmoid(a_o);
    const Real y = math::activate(options.output_activation, next);
    return {{{o * y, next}}, {{i, f, g, o, next, y}}};
  }

  template <class Real>
  SEQGPU_HD static CellGrad<Real, 4, 2, 3, false> backward(const CellOptions& options, const Regs<Real, 6>& saved,
                                                           const Regs<Real, 2>& prev, const Regs<Real, 3>& unit,
                                                           const Regs<Real, 2>& d_next) {
    const Real i = saved[0], f = saved[1], g = saved[2], o = saved[3], next = saved[4], y = saved[5];
    const Real c = prev[1], one = Real(1);
    CellGrad<Real, 4, 2, 3, false> d;
    // h' = o*y, o = sigm(a_o):  d a_o = d h' y o(1-o)
    d.wx[3] = d_next[0] * y * o * (one - o);
    // c' reaches the loss directly, through y = psi(c'), and through o by its peephole
    Real dc = d_next[1] + d_next[0] * o * math::slope(options.output_activation, y);
    if (options.peephole) dc = dc + d.wx[3] * unit[2];
    if (options.cell_clip > 0) dc = math::clip_gradient(next, Real(options.cell_clip), dc);
    // c' = f*c + i*g:  d f = d c' c, d i = d c' g, d g = d c' i; coupled i = 1 - f:  d f = d c' (c - g), a_i is unread
    d.wx[0] = options.coupled_gates ? Real(0) : dc * g * i * (one - i);
    d.wx[1] = dc * (options.coupled_gates ? c - g : c) * f * (one - f);
    d.wx[2] = dc * i * math::slope(options.activation, g);
    // h enters through rh alone; c through f*c and the peepholes of i and f
    d.prev[0] = Real(0);
    d.prev[1] = dc * f;
    if (options.peephole) d.prev[1] = d.prev[1] + d.wx[0] * unit[0] + d.wx[1] * unit[1];
    // d p_i = d a_i c, d p_f = d a_f c, d p_o = d a_o c'
    d.unit[0] = d.wx[0] * c;
    d.unit[1] = d.wx[1] * c;
    d.unit[2] = d.wx[3] * next;
    return d;
  }
};
static_assert(RecurrentCell<LstmCell>);

}  // namespace seqgpu::cells
