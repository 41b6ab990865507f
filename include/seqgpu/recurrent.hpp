#pragma once

#include <vector>

#include "seqgpu/cell.hpp"
#include "seqgpu/graph.hpp"

namespace seqgpu {

/// Variations of one recurrent layer in one direction.
struct RecurrentOptions {
  CellKind cell = CellKind::lstm;
  Direction direction = Direction::forward;
  Activation activation = Activation::tanh;               ///< Elman's phi, LSTM's g, GRU's n
  Activation output_activation = Activation::tanh;        ///< LSTM's h in o * h(c)
  bool coupled_gates = false;                             ///< LSTM: i = 1 - f
  Activation projection_activation = Activation::linear;  ///< of h = act(P m + b): LSTMP is linear, Jordan is not
  float recurrent_dropout = 0.f;  ///< one mask per sequence on what recurs (Gal & Ghahramani 2016)
  float zoneout_hidden = 0.f;     ///< probability that h keeps its old value (Krueger et al. 2017)
  float zoneout_cell = 0.f;       ///< the same for the other states
  float cell_clip = 0.f;          ///< LSTM: clip c to [-clip, clip]; 0 is off
  bool all_states = false;        ///< also return every step's other states
  /// Of the products, forward and backward: f32, or their operands rounded to tf32 or bf16; sums, states and gates are
  /// f32. A device without such products makes them in f32; explain() names the row that was taken.
  Precision precision = Precision::f32;
};

/// G gates, H units, I inputs, R recurring width: H, or P's rows with a projection.
struct RecurrentWeights {
  Value w_ih;             ///< [G*H, I]
  Value w_hh;             ///< [G*H, R]
  Value b_ih;             ///< [G*H] or absent
  Value b_hh;             ///< [G*H] or absent
  Value peephole;         ///< LSTM: [3, H], rows i f o; or absent
  Value projection;       ///< [R, H] or absent
  Value projection_bias;  ///< [R] or absent
};

struct RecurrentInputs {
  Value lengths;               ///< [N] i32, 0 <= length <= T; absent: all T
  Value resets;                ///< [T, N] i32: nonzero clears the state before step t; or absent
  std::vector<Value> initial;  ///< h [N, R], then other states [N, H]; empty: zero
};

struct RecurrentResult {
  Value output;               ///< [T, N, R]; zero past a sequence's length
  std::vector<Value> final;   ///< h [N, R], then other states [N, H], after each sequence's last step
  std::vector<Value> states;  ///< with all_states: other states [T, N, H]
};

/// state[t] = cell(w_ih x[t] + b_ih, w_hh h[t-1] + b_hh, state[t-1]) while t < lengths[n]; `docs/notation.md` has each
/// cell's equations. A length of 0 gives zero output and the initial state back.
/// @param x [T, N, I]
/// @throws Error{invalid_argument} naming the argument and both shapes by axis
SEQGPU_API RecurrentResult recurrent(Value x, const RecurrentOptions& options, const RecurrentWeights& weights,
                                     const RecurrentInputs& inputs = {});

}  // namespace seqgpu
