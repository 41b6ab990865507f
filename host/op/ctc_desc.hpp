#pragma once

#include <cstdint>

#include "seqgpu/dtype.hpp"

// Connectionist temporal classification, forward and backward, as a plain value. Arguments are found by slot; an absent
// one is a null pointer.
namespace seqgpu::op {

struct CtcDesc {
  enum class Reduction : std::uint8_t { none, sum, mean_by_target, mean_by_batch, mean_by_frames, mean_by_tokens };
  enum class Impossible : std::uint8_t { infinite, zero, error };

  DType dtype = DType::f32;
  std::int64_t T = 0, N = 0, C = 0;
  std::int64_t L = 0;         // padded: the second axis of targets; concatenated: elements of targets
  bool concatenated = false;  // targets [L] with target_lengths, else [N, L]
  std::int64_t blank = 0;     // in [0, C)
  bool from_log_probs = false;
  bool training = false;  // keep the reserve for backward
  Reduction reduction = Reduction::mean_by_target;
  Impossible impossible = Impossible::infinite;
  bool in_place = false;  // backward's output must take the place of kCtcX; otherwise it may
};
struct CtcForwardDesc : CtcDesc {};
struct CtcBackwardDesc : CtcDesc {};

enum CtcInput : int {
  kCtcX,              // [T, N, C] logits or log-probabilities
  kCtcTargets,        // i32 [N, L] or [L]
  kCtcTargetLengths,  // i32 [N] or absent
  kCtcInputLengths,   // i32 [N] or absent
  kCtcWeights,        // [N] or absent
  kCtcForwardInputs,
  kCtcReserve = kCtcForwardInputs,  // backward only from here: u8
  kCtcDLoss,                        // d loss, [] or [N]
  kCtcBackwardInputs,
};

enum CtcOutput : int {
  kCtcLoss,         // [] or [N]
  kCtcPerSequence,  // [N]
  kCtcStatus,       // i32 [N]
  kCtcPosteriors,   // [T, N, C]
  kCtcAlignment,    // [T, N, 2*L+1]
  kCtcKept,         // u8, training only
  kCtcForwardOutputs,
};
// Backward has one output, d x [T, N, C]. It may be where x is: a row of x is read before its gradient is written.

}  // namespace seqgpu::op
