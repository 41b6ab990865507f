#pragma once

#include <cstdint>

#include "seqgpu/cell.hpp"
#include "seqgpu/dtype.hpp"

// One direction of one recurrent layer, forward and backward, as a plain value. Arguments are found by slot; an absent
// one is a null pointer.
namespace seqgpu::op {

struct RecurrentDesc {
  CellKind cell = CellKind::lstm;
  Direction direction = Direction::forward;
  DType dtype = DType::f32;
  Precision precision = Precision::f32;
  std::int64_t T = 0, N = 0, I = 0, H = 0, R = 0;  // R: recurring width; H without a projection
  bool training = false;                           // keep the reserve for backward; draw masks
  std::int64_t segment = 0;  // the reserve holds states every so many steps, backward runs forward again from each; 0:
                             // all it needs
  bool paired = false;  // the same layer in the other direction reads the same x: the two run side by side. Set by the
                        // scheduler, alike for both passes
  Activation activation = Activation::tanh;
  Activation output_activation = Activation::tanh;
  bool coupled_gates = false;
  Activation projection_activation = Activation::linear;
  float recurrent_dropout = 0.f, zoneout_hidden = 0.f, zoneout_cell = 0.f;
  float cell_clip = 0.f;
  bool peephole = false, projection = false;
  std::uint64_t seed = 0, stream = 0;  // Philox key: graph seed, node
};
struct RecurrentForwardDesc : RecurrentDesc {};
struct RecurrentBackwardDesc : RecurrentDesc {};

inline constexpr int kMaxStates = 3;

// Inputs of forward; backward takes the same slots and more.
enum RecurrentInput : int {
  kInX,                              // [T, N, I]
  kInWih,                            // [G*H, I]
  kInWhh,                            // [G*H, R]
  kInBih,                            // [G*H]
  kInBhh,                            // [G*H]
  kInUnit,                           // [unit parameters, H]: peepholes
  kInProj,                           // [R, H]
  kInProjB,                          // [R]
  kInLengths,                        // i32 [N]
  kInResets,                         // i32 [T, N]
  kInState0,                         // h [N, R], then others [N, H]
  kInStep = kInState0 + kMaxStates,  // i64 []: Philox counter, present when masks are drawn
  kForwardInputs,
  kInOutput = kForwardInputs,             // backward only from here: y [T, N, R]
  kInReserve,                             // u8 [reserve_bytes]
  kInDOutput,                             // d y [T, N, R] or absent
  kInDFinal0,                             // d h_final [N, R], then others [N, H]; or absent
  kInDStates0 = kInDFinal0 + kMaxStates,  // d of all-step other states [T, N, H], from state 1; or absent
  kBackwardInputs = kInDStates0 + kMaxStates - 1,
};

enum RecurrentOutput : int {
  kOutY,                                       // [T, N, R]
  kOutFinal0,                                  // h [N, R], others [N, H]
  kOutStates0 = kOutFinal0 + kMaxStates,       // all-step other states [T, N, H], from state 1
  kOutReserve = kOutStates0 + kMaxStates - 1,  // u8, training only
  kForwardOutputs,
};

enum RecurrentGradient : int {
  kGradX,
  kGradWih,
  kGradWhh,
  kGradBih,
  kGradBhh,
  kGradUnit,
  kGradProj,
  kGradProjB,
  kGradState0,  // d h0 [N, R], others [N, H]
  kBackwardOutputs = kGradState0 + kMaxStates,
};

}  // namespace seqgpu::op
