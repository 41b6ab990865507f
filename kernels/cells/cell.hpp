#pragma once

#include "kernels/math/activation.hpp"
#include "seqgpu/cell.hpp"
#include "seqgpu/export.hpp"

// What a cell is: gate maths of one unit at one step, forward and backward, generic in the number type.
namespace seqgpu::cells {

/// N numbers in registers. N may be 0.
template <class Real, int N>
struct Regs {
  Real r[N > 0 ? N : 1];
  SEQGPU_HD constexpr Real& operator[](int i) { return r[i]; }
  SEQGPU_HD constexpr const Real& operator[](int i) const { return r[i]; }
};

/// Uniform over the layer: a branch on one is taken by all units alike.
struct CellOptions {
  Activation activation = Activation::tanh;
  Activation output_activation = Activation::tanh;
  bool coupled_gates = false;
  bool peephole = false;
  float cell_clip = 0.f;
};

template <class Real, int S, int Saved>
struct CellStep {
  Regs<Real, S> next;
  Regs<Real, Saved> saved;  // what backward needs
};

/// Gradients of the gate inputs wx and rh, the previous states, and the per-unit parameters (this step's share).
/// Where wx and rh enter as a sum, rh is empty and wx stands for both.
template <class Real, int G, int S, int P, bool Split>
struct CellGrad {
  Regs<Real, G> wx;
  Regs<Real, Split ? G : 0> rh;
  Regs<Real, S> prev;
  Regs<Real, P> unit;
};

template <class Cell>
concept RecurrentCell = requires {
  { Cell::kKind } -> std::convertible_to<CellKind>;
  { Cell::kName } -> std::convertible_to<const char*>;
  requires Cell::kGates >
  0 && Cell::kGates <= 4;
  requires Cell::kStates >
  0 && Cell::kStates <= 3;
  requires Cell::kSaved >
  0;
  requires Cell::kUnitParameters >= 0;
  { Cell::kReadsHidden } -> std::convertible_to<bool>;    // uses h[t-1] unit by unit: takes no projection
  { Cell::kSplitGradient } -> std::convertible_to<bool>;  // d wx and d rh differ
  { Cell::kTwoPhase } -> std::convertible_to<bool>;       // the last gate multiplies r*h: a second product
};

template <RecurrentCell... Cells>
struct CellList {
  static constexpr int kSize = sizeof...(Cells);
};

}  // namespace seqgpu::cells
