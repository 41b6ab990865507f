#pragma once

#include "kernels/recurrent/step.cuh"

// One step backward of the stepwise strategy, before the product d e = R^T d rh.
//   work    one thread per (n, unit) owns all gates of the unit
//   memory  reads (kSaved + 3 S) N H, writes (G + S) N H, and F N H more where d rh is apart; coalesced along units
//   order   step_project_backward - product (with a projection) - backward - product - backward_enter (two-phase
//           cells) - product
namespace seqgpu::kernels {

template <class Cell>
__device__ auto run_cell_backward(const ScanBackward& p, std::int64_t row, std::int64_t unit,
                                  const Regs<float, Cell::kStates>& d_next) {
  constexpr int S = Cell::kStates, P = Cell::kUnitParameters;
  Regs<float, Cell::kSaved> saved;
#pragma unroll
  for (int k = 0; k < Cell::kSaved; ++k) saved[k] = p.reserve.saved[(row * Cell::kSaved + k) * p.H + unit];
  Regs<float, S> previous{};
#pragma unroll
  for (int state = 0; state < S; ++state)
    if (state > 0 || !p.projection) previous[state] = p.reserve.previous[state][row * p.H + unit];
  Regs<float, P> parameters{};
#pragma unroll
  for (int k = 0; k < P; ++k)
    if (p.unit) parameters[k] = p.unit[k * p.H + unit];
  return Cell::backward(p.options, saved, previous, parameters, d_next);
}

/// Rows of the gradients by the gate inputs, for the products over all rows and for this step's.
template <class Cell>
__device__ void store_gates(const ScanBackward& p, const StepBackward& w, std::int64_t row, std::int64_t i,
                            std::int64_t unit, const Regs<float, Cell::kGates>& d_wx,
                            const Regs<float, Cell::kSplitGradient ? Cell::kGates : 0>& d_split) {
  constexpr int G = Cell::kGates, F = Cell::kTwoPhase ? G - 1 : G;
  store(p.d_wx + (row * p.H + unit) * G, d_wx);
  Regs<float, F> d_rh;
#pragma unroll
  for (int g = 0; g < F; ++g) {
    if constexpr (Cell::kSplitGradient)
      d_rh[g] = d_split[g];
    else
      d_rh[g] = d_wx[g];
  }
  if constexpr (Cell::kSplitGradient || Cell::kTwoPhase) store(p.d_rh + (row * p.H + unit) * F, d_rh);
  if (w.d_rh) store(w.d_rh + i * F, d_rh);
  if constexpr (Cell::kTwoPhase) {
    p.d_last[row * p.H + unit] = d_wx[G - 1];
    if (w.d_last) w.d_last[i] = d_wx[G - 1];
  }
}

template <class Cell>
__global__ void __launch_bounds__(kStepThreads) step_backward_kernel(ScanBackward p, StepBackward w, std::int64_t s) {
  constexpr int S = Cell::kStates, P = Cell::kUnitParameters;
  for_each_unit(p.N, p.H, [&](std::int64_t n, std::int64_t unit) {
    const StepPosition at = position(p, s, n);
    const std::int64_t i = n * p.H + unit;
    const bool last = s == p.T - 1;  // the first to be seen
    if (!at.active) {
      store_gates<Cell>(p, w, at.row, i, unit, {}, {});
#pragma unroll
      for (int k = 0; k < P; ++k)
        if (last && p.d_unit) p.d_unit[(n * P + k) * p.H + unit] = 0;
      return;
    }
    SplitGradient d_state[3] = {};
    if (p.projection)
      d_state[0].cell = w.d_cell_h[i];
    else
      d_state[0] = gradient_of_state<0>(p, w, s, at.row, n, unit);
    if constexpr (S > 1) d_state[1] = gradient_of_state<1>(p, w, s, at.row, n, unit);
    if constexpr (S > 2) d_state[2] = gradient_of_state<2>(p, w, s, at.row, n, unit);
    Regs<float, S> d_next;
#pragma unroll
    for (int state = 0; state < S; ++state) d_next[state] = d_state[state].cell;
    const auto d = run_cell_backward<Cell>(p, at.row, unit, d_next);
    if constexpr (Cell::kSplitGradient)
      store_gates<Cell>(p, w, at.row, i, unit, d.wx, d.rh);
    else
      store_gates<Cell>(p, w, at.row, i, unit, d.wx, {});
    const bool reset = is_reset(p, at.row);
#pragma unroll
    for (int state = 0; state < S; ++state)
      if (state > 0 || !p.projection) w.carry[state][i] = reset ? 0.f : d.prev[state] + d_state[state].kept;
#pragma unroll
    for (int k = 0; k < P; ++k) {
      if (!p.d_unit) break;
      float& share = p.d_unit[(n * P + k) * p.H + unit];
      share = last ? d.unit[k] : share + d.unit[k];
    }
  });
}

/// With d q = R_n^T d wx_n: the gradient by the first gate, and what e gets through q.
template <class Cell>
__global__ void __launch_bounds__(kStepThreads)
    step_backward_enter_kernel(ScanBackward p, StepBackward w, std::int64_t s) {
  constexpr int G = Cell::kGates, F = G - 1;
  for_each_unit(p.N, p.H, [&](std::int64_t n, std::int64_t unit) {
    const StepPosition at = position(p, s, n);
    const std::int64_t i = n * p.H + unit, row = at.row * p.H + unit;
    if (!at.active) {
      w.d_entering[i] = 0;
      return;
    }
    Regs<float, Cell::kSaved> saved;
#pragma unroll
    for (int k = 0; k < Cell::kSaved; ++k) saved[k] = p.reserve.saved[(at.row * Cell::kSaved + k) * p.H + unit];
    const auto d = Cell::backward_enter(saved, p.reserve.entering[row], w.d_second[i]);
    p.d_wx[row * G] = d[0];
    p.d_rh[row * F] = d[0];
    if (w.d_rh) w.d_rh[i * F] = d[0];
    w.d_entering[i] = d[1];
  });
}

template <class Cell>
void StepKernels<Cell>::backward(const ScanBackward& p, const StepBackward& w, std::int64_t s, Stream stream) {
  launch(step_backward_kernel<Cell>, unit_shape(p.N, p.H, stream), p, w, s);
}

template <class Cell>
void StepKernels<Cell>::backward_enter(const ScanBackward& p, const StepBackward& w, std::int64_t s, Stream stream) {
  if constexpr (Cell::kTwoPhase) launch(step_backward_enter_kernel<Cell>, unit_shape(p.N, p.H, stream), p, w, s);
}

}  // namespace seqgpu::kernels
