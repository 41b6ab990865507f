#pragma once

#include <cstdint>

#include "seqgpu/export.hpp"

namespace seqgpu {

/// Recurrent cells. Gate order follows PyTorch: LSTM i f g o, GRU r z n.
enum class CellKind : std::uint8_t {
  elman,             ///< h' = phi(a)
  lstm,              ///< Hochreiter & Schmidhuber 1997, with the forget gate of Gers 2000
  gru,               ///< reset after the recurrent product (cuDNN, PyTorch)
  gru_reset_before,  ///< reset before it (Cho et al. 2014)
};

enum class Activation : std::uint8_t { linear, tanh, relu, sigmoid };

/// forward runs t = 0..len-1; reverse starts at each sequence's own last step.
enum class Direction : std::uint8_t { forward, reverse };

/// What a product of matrices may round its operands to. Sums and states stay f32; a device that has no faster product,
/// the CPU for one, rounds less.
enum class Precision : std::uint8_t { f32, tf32, bf16 };

SEQGPU_API const char* to_string(CellKind cell);
SEQGPU_API const char* to_string(Activation activation);
SEQGPU_API const char* to_string(Direction direction);
SEQGPU_API const char* to_string(Precision precision);

/// Number of gates G, states S (h first) and per-unit parameter rows (peepholes) of a cell.
SEQGPU_API int gate_count(CellKind cell);
SEQGPU_API int state_count(CellKind cell);
SEQGPU_API int unit_parameter_count(CellKind cell);

}  // namespace seqgpu
