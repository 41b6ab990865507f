#pragma once

#include "kernels/recurrent/step.cuh"

// One step forward of the stepwise strategy, after the product rh = R e: gate maths of any cell with all that surrounds
// it.
//   work    one thread per (n, unit) owns all gates of the unit
//   memory  reads (G + F + S) N H and writes S N H, in training also (kSaved + S) N H; coalesced along units
//   order   enter (two-phase cells) - product - forward - product - step_project (with a projection)
namespace seqgpu::kernels {

/// What lies past a length is 0 where somebody sees it: outputs, and operands of the products over all rows.
template <class Cell>
__device__ void pad_unit(const ScanForward& p, const StepForward& w, std::int64_t row, std::int64_t i,
                         std::int64_t unit) {
  const std::int64_t at = row * p.H + unit;
#pragma unroll
  for (int state = 1; state < Cell::kStates; ++state)
    if (p.states[state - 1]) p.states[state - 1][at] = 0;
  if (p.reserve.second) p.reserve.second[at] = 0;
  if (p.projection) {
    w.cell_h[i] = 0;
    if (p.reserve.unprojected) p.reserve.unprojected[at] = 0;
  } else {
    if (p.y) p.y[at] = 0;
    if (p.reserve.entering) p.reserve.entering[at] = 0;
  }
}

/// r and z of a two-phase cell, left in rh; q = r*e goes into the second product.
template <class Cell>
__global__ void __launch_bounds__(kStepThreads) step_enter_kernel(ScanForward p, StepForward w, std::int64_t s) {
  constexpr int G = Cell::kGates, F = G - 1;
  for_each_unit(p.N, p.H, [&](std::int64_t n, std::int64_t unit) {
    const StepPosition at = position(p, s, n);
    const std::int64_t i = n * p.H + unit, row = at.row * p.H + unit;
    float q = 0;
    if (at.active) {
      const auto wx = sum(load<F>(p.wx + row * G), load<F>(p.b_ih + unit * G));
      const auto rh = sum(load<F>(w.rh + i * F), load<F>(p.b_hh + unit * G));
      const auto entered = Cell::enter(p.options, wx, rh);
      store(w.rh + i * F, entered);
      q = entered[0] * w.entering[i];
      if (p.reserve.second) p.reserve.second[row] = q;
    }
    w.second[i] = q;
  });
}

template <class Cell>
__device__ auto run_cell(const ScanForward& p, const StepForward& w, std::int64_t row, std::int64_t i,
                         std::int64_t unit, const Regs<float, Cell::kStates>& previous) {
  constexpr int G = Cell::kGates, P = Cell::kUnitParameters;
  if constexpr (Cell::kTwoPhase) {
    const float wx = p.wx[(row * p.H + unit) * G + G - 1] + p.b_ih[unit * G + G - 1];
    return Cell::forward(p.options, load<G - 1>(w.rh + i * (G - 1)), wx, w.rh_last[i] + p.b_hh[unit * G + G - 1],
                         previous);
  } else {
    const auto wx = sum(load<G>(p.wx + (row * p.H + unit) * G), load<G>(p.b_ih + unit * G));
    const auto rh = sum(load<G>(w.rh + i * G), load<G>(p.b_hh + unit * G));
    Regs<float, P> parameters{};
#pragma unroll
    for (int k = 0; k < P; ++k)
      if (p.unit) parameters[k] = p.unit[k * p.H + unit];
    return Cell::forward(p.options, wx, rh, previous, parameters);
  }
}

template <class Cell>
__global__ void __launch_bounds__(kStepThreads) step_forward_kernel(ScanForward p, StepForward w, std::int64_t s) {
  constexpr int S = Cell::kStates;
  for_each_unit(p.N, p.H, [&](std::int64_t n, std::int64_t unit) {
    const StepPosition at = position(p, s, n);
    const std::int64_t i = n * p.H + unit;
    if (!at.active) return pad_unit<Cell>(p, w, at.row, i, unit);
    Regs<float, S> previous{};
#pragma unroll
    for (int state = 0; state < S; ++state)
      if (state > 0 || !p.projection) previous[state] = w.state[state][i];
    const auto step = run_cell<Cell>(p, w, at.row, i, unit, previous);
    if (p.reserve.saved) {
#pragma unroll
      for (int k = 0; k < Cell::kSaved; ++k) p.reserve.saved[(at.row * Cell::kSaved + k) * p.H + unit] = step.saved[k];
    }
    if (p.projection) {
      w.cell_h[i] = step.next[0];
      if (p.reserve.unprojected) p.reserve.unprojected[at.row * p.H + unit] = step.next[0];
    } else {
      finish_state<0>(p, w, s, at.row, n, unit, previous[0], step.next[0]);
    }
    if constexpr (S > 1) finish_state<1>(p, w, s, at.row, n, unit, previous[1], step.next[1]);
    if constexpr (S > 2) finish_state<2>(p, w, s, at.row, n, unit, previous[2], step.next[2]);
  });
}

template <class Cell>
void StepKernels<Cell>::enter(const ScanForward& p, const StepForward& w, std::int64_t s, Stream stream) {
  if constexpr (Cell::kTwoPhase) launch(step_enter_kernel<Cell>, unit_shape(p.N, p.H, stream), p, w, s);
}

template <class Cell>
void StepKernels<Cell>::forward(const ScanForward& p, const StepForward& w, std::int64_t s, Stream stream) {
  launch(step_forward_kernel<Cell>, unit_shape(p.N, p.H, stream), p, w, s);
}

}  // namespace seqgpu::kernels
