#pragma once

#include <cstdint>

#include "kernels/cells/cell.hpp"
#include "seqgpu/cell.hpp"

// The recurrence of one direction of one layer over all its steps, as every strategy computes it: pointers and sizes,
// no CUDA header. Before it one product gives wx; after its backward one product each gives d W, d R and d x.
//
// Tensors are f32, row-major, on the device, at least 16-byte aligned. Row (t, n) of [T, N, .] is t*N + n, whatever the
// direction. Step s of sequence n is t = s, or in the reverse direction t = lengths[n] - 1 - s. Gates of a unit stand
// side by side ([H, G]), so that the thread that owns a unit loads them at once. T, N and H are never 0 here.
//
// F gates multiply `entering`: all G, but G - 1 for a two-phase cell, whose last gate multiplies `second` (q = r*h).
namespace seqgpu::kernels {

inline constexpr int kStates = 3;  // at most

/// Zoneout: in training a unit keeps its previous value where drawn, in inference it takes the mean of that.
struct Zoneout {
  bool draw = false;                   // training
  float rate[kStates] = {};            // 0: off
  std::uint64_t key[kStates] = {};     // Philox key of each state's stream
  const std::int64_t* step = nullptr;  // [] Philox step; null: 0
  // The draw of unit u at (t, n) has index (t*N + n)*width + u; below the rate: kept.
};

struct Scan {
  CellKind cell = CellKind::lstm;
  cells::CellOptions options;
  Precision precision = Precision::f32;
  std::int64_t T = 0, N = 0, H = 0, R = 0;  // R: recurring width; H without a projection
  bool reverse = false;

  const float* w_hh = nullptr;            // [H, F, R]
  const float* w_last = nullptr;          // [H, R] of a two-phase cell's last gate, else null
  const float* unit = nullptr;            // [unit parameters, H]; null without peepholes
  const float* projection = nullptr;      // [R, H] or null
  const std::int32_t* lengths = nullptr;  // [N], in [0, T]; null: all T
  const std::int32_t* resets = nullptr;   // [T, N]; nonzero clears the states before that step; or null
  const float* mask = nullptr;            // [N, R] factors of what enters the product: recurrent dropout; or null
  Zoneout zoneout;
  Activation projection_activation = Activation::linear;
};

/// What forward keeps for backward; the same layout whatever the strategy, as the two may be chosen differently. Rows
/// past a length are zero in `entering`, `second` and `unprojected`, which products over all rows read, and anything in
/// the others, which the scan backward must not read there. All null in inference.
struct ScanReserve {
  float* previous[kStates] = {};  // states before each step, after resets: [T, N, R], then [T, N, H]
  float* entering = nullptr;      // [T, N, R] what entered the product: previous[0], times the mask if there is one
  float* saved = nullptr;         // [T, N, kSaved, H]
  float* second = nullptr;        // [T, N, H] q of a two-phase cell, else null
  float* unprojected = nullptr;   // [T, N, H] the cell's h, with a projection, else null
  float* projected = nullptr;     // [T, N, R] act(P h + b) before zoneout, else null
};

struct ScanForward : Scan {
  const float* wx = nullptr;               // [T, N, H, G] W x without its bias; anything (NaN too) past a length
  const float* b_ih = nullptr;             // [H, G]; zeros where the layer has none
  const float* b_hh = nullptr;             // [H, G]; the same
  const float* projection_bias = nullptr;  // [R] or null
  const float* initial[kStates] = {};      // h [N, R], others [N, H]; null: zero
  float* y = nullptr;                      // [T, N, R]; zero past a length; null where not wanted
  float* states[kStates - 1] = {};         // [T, N, H], from state 1; zero past a length; null where not wanted
  float* final[kStates] = {};              // as initial; the initial state where a length is 0; null where not wanted
  ScanReserve reserve;
};

struct ScanBackward : Scan {
  ScanReserve reserve;                      // read only
  const float* d_y = nullptr;               // [T, N, R]; anything past a length; null: zero
  const float* d_states[kStates - 1] = {};  // [T, N, H], as d_y
  const float* d_final[kStates] = {};       // as final; null: zero
  float* d_wx = nullptr;                    // [T, N, H, G]; zero past a length
  float* d_rh = nullptr;                    // [T, N, H, F], the same for the recurrent product; d_wx itself where both
                                            // are equal: unless the cell splits the gradient or has two phases
  float* d_last = nullptr;                  // [T, N, H] of a two-phase cell's last gate, else null; zero past a length
  float* d_projected = nullptr;             // [T, N, R] of P h + b, or null; zero past a length
  float* d_initial[kStates] = {};           // null where not wanted
  float* d_unit = nullptr;                  // [N, unit parameters, H], each sequence's share; null without peepholes
};

}  // namespace seqgpu::kernels
