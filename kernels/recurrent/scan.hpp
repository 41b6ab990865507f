#pragma once

#include <cstdint>

#include "kernels/cells/cell.hpp"
#include "seqgpu/cell.hpp"

// The recurrence of one direction of one layer over all its steps, as every strategy computes it: pointers and sizes,
// no CUDA header. Before it one product gives wx; after its backward one product each gives d W, d R and d x.
//
// Tensors are f32, row-major, on the device. Row (t, n) of [T, N, .] is t*N + n, whatever the direction. Step s of
// sequence n is t = s, or in the reverse direction t = lengths[n] - 1 - s. Gates of a unit stand side by side ([H, G]),
// so that the thread that owns a unit loads them at once.
namespace seqgpu::kernels {

inline constexpr int kStates = 3;  // at most

struct Scan {
  CellKind cell = CellKind::lstm;
  cells::CellOptions options;
  Precision precision = Precision::f32;
  std::int64_t T = 0, N = 0, H = 0, R = 0;  // R: recurring width; H without a projection
  bool reverse = false;

  const float* w_hh = nullptr;            // [H, G, R]
  const float* unit = nullptr;            // [unit parameters, H]; null without peepholes
  const std::int32_t* lengths = nullptr;  // [N], in [0, T]; null: all T
  const std::int32_t* resets = nullptr;   // [T, N]; nonzero clears the states before that step; or null
};

/// What forward keeps for backward; rows past a length are zero. All null in inference.
struct ScanReserve {
  float* previous[kStates] = {};  // states before each step, after resets: [T, N, R], then [T, N, H]
  float* entering = nullptr;      // [T, N, R] what entered the product: previous[0], times the mask if there is one
  float* saved = nullptr;         // [T, N, kSaved, H]
};

struct ScanForward : Scan {
  const float* wx = nullptr;           // [T, N, H, G] W x + b_ih; anything past a length
  const float* b_hh = nullptr;         // [H, G]
  const float* initial[kStates] = {};  // h [N, R], others [N, H]; null: zero
  float* y = nullptr;                  // [T, N, R]; zero past a length
  float* states[kStates - 1] = {};     // [T, N, H], from state 1; zero past a length; null where not wanted
  float* final[kStates] = {};          // as initial; the initial state where a length is 0; null where not wanted
  ScanReserve reserve;
};

struct ScanBackward : Scan {
  ScanReserve reserve;                      // read only
  const float* d_y = nullptr;               // [T, N, R]; anything past a length; null: zero
  const float* d_states[kStates - 1] = {};  // [T, N, H], as d_y
  const float* d_final[kStates] = {};       // as final; null: zero
  float* d_wx = nullptr;                    // [T, N, H, G]; zero past a length
  float* d_rh = nullptr;                    // the same for the recurrent product's side; d_wx where both are equal
  float* d_initial[kStates] = {};           // null where not wanted
  float* d_unit = nullptr;                  // [N, unit parameters, H], each sequence's share; null without peepholes
};

}  // namespace seqgpu::kernels
