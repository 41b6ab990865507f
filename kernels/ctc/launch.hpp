#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block/fault.hpp"

struct CUstream_st;

// Connectionist temporal classification: the loss, posteriors and the gradient. docs/ctc.md has the equations.
//
// Letters: T frames, N sequences, C classes, L labels (padded: of a sequence; concatenated: of all), U labels of one
// sequence. Sequence n has its labels at `first`, and its rows of U + 1 columns from T * (first + n) on.
namespace seqgpu::kernels {

// The orders are those of op::CtcDesc.
enum class CtcReduction : int { none, sum, mean_by_target, mean_by_batch, mean_by_frames, mean_by_tokens };
enum class CtcImpossible : int { infinite, zero, error };

/// What is illegal about a sequence: the value of its fault, whose index is the sequence.
enum class CtcFault : int {
  none,
  input_length,   // details: the length
  target_length,  // the length
  too_many,       // concatenated: the sum of target lengths up to here is above L
  label,          // its place within the target, the label, its place among all
  too_few,        // concatenated: the sum of target lengths is not L
  impossible,     // under CtcImpossible::error: labels, frames needed, frames
};

struct CtcShape {
  std::int64_t T, N, C, L, blank;
  bool concatenated, from_log_probs;
};

/// What the kernels find out about a sequence.
struct CtcSequence {
  std::int64_t first;   // its first label among targets
  std::int64_t labels;  // U
  std::int64_t frames;
  std::int64_t needed;   // frames
  std::int64_t bad, at;  // an illegal value, and its place within the target
  double negative_log;   // -ln p(target | x)
  double factor;         // of its loss and gradient
  CtcFault fault;
  int alive;  // 0: its gradient is 0
};

/// What one frame emits for the blank, and what its labels' columns are brought to before e^x: see ctc_emission().
struct alignas(16) CtcFrame {
  float blank_m;
  int blank_k;
  float shift;
  int power;
};

/// A state's number m * 2^k.
struct CtcNumber {
  float m;
  int k;
};
/// The states of position i: blank i, and label i behind it.
struct alignas(16) CtcPair {
  CtcNumber blank, label;
};

inline constexpr int kCtcBlock = 8;  // frames between two stored rows of alpha or beta
constexpr std::int64_t ctc_blocks(std::int64_t frames) { return (frames + kCtcBlock - 1) / kCtcBlock; }

inline constexpr int kCtcWarps = 4;  // of a direction at most
/// Positions that have a thread of their own in each direction. Longer targets give each thread several.
inline constexpr std::int64_t kCtcPositions = 32 * kCtcWarps;
/// Bytes of one position's states in memory, for both directions of targets beyond that: kCtcBlock + 1 pairs and
/// kCtcBlock emissions each, and what home.cuh puts behind them.
inline constexpr std::int64_t kCtcHomeBytes =
    2 * ((kCtcBlock + 1) * sizeof(CtcPair) + kCtcBlock * sizeof(CtcNumber) + 16);

/// What backward needs of forward.
struct CtcKept {
  CtcSequence* sequences;  // [N]
  float* largest;          // [N, T] of each frame's logits
  float* sum;              // [N, T] of exp(x - largest)
  float* columns;          // [T, U+1] a sequence: of x, label by label; then the posteriors of the labels and the blank
  std::int32_t* order;     // labels' places in their target by class, then by place
};

/// Forward's own memory.
struct CtcScratch {
  CtcFrame* frames;      // [N, T]
  CtcPair* rows;         // [blocks, U+1] a sequence: of each block of the first half alpha in the first frame, of the
                         // second half beta in the last frame, without what that emits
  CtcPair* meeting;      // [U+1] a sequence: alpha between the halves
  std::int64_t* powers;  // [N, blocks] taken off the exponents of those rows
  std::byte* homes;      // kCtcHomeBytes * (U+1 + kCtcPositions) a sequence; absent where L < kCtcPositions
};

struct CtcForwardArgs {
  CtcShape shape;
  const float* x;                      // [T, N, C] logits or log-probabilities
  const std::int32_t* targets;         // [N, L] or [L]
  const std::int32_t* target_lengths;  // [N] or null
  const std::int32_t* input_lengths;   // [N] or null
  const float* weights;                // [N] or null
  float* loss;                         // [] or [N]
  float* per_sequence;                 // [N] or null, as all from here
  std::int32_t* status;                // [N]
  float* posteriors;                   // [T, N, C]
  float* alignment;                    // [T, N, 2*L+1], padded targets only
  CtcReduction reduction;
  CtcImpossible impossible;
  bool training;  // fill `kept` for backward
  CtcKept kept;
  CtcScratch scratch;
  FaultSink faults;
};
void ctc_forward(const CtcForwardArgs& args, CUstream_st* stream);

struct CtcBackwardArgs {
  CtcShape shape;
  const float* x;
  const std::int32_t* targets;
  const float* d_loss;  // [] or [N]
  bool each;            // d_loss is [N]
  float* d_x;           // [T, N, C]; may be x
  CtcKept kept;
};
void ctc_backward(const CtcBackwardArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
