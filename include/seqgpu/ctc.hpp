#pragma once

#include <cstdint>

#include "seqgpu/graph.hpp"

// Connectionist temporal classification: Graves, Fernandez, Gomez, Schmidhuber, ICML 2006. The probability of a label
// sequence is the sum over all its alignments to the frames: paths that give it once repeats are merged and blanks
// dropped. `docs/ctc.md` has the equations and the numerics.
namespace seqgpu {

/// What the loss of each sequence, times its weight, is made into. The name says what it is divided by.
enum class CtcReduction : std::uint8_t {
  none,            ///< [N]
  sum,             ///< []
  mean_by_target,  ///< each by max(U, 1), then the sum by N: PyTorch's "mean"
  mean_by_batch,   ///< the sum by N
  mean_by_frames,  ///< the sum by the sum of input lengths
  mean_by_tokens,  ///< the sum by the sum of target lengths
};

/// A target is impossible where its frames are fewer than its labels plus its adjacent repeats.
enum class ImpossibleTarget : std::uint8_t {
  infinite,  ///< its loss is infinite, its gradient 0; so is that of a target whose probability is 0
  zero,      ///< its loss and gradient are 0, and so those of a target whose probability is 0
  error,     ///< Error{invalid_argument} naming the sequence and the frames it needs
};

struct CtcOptions {
  std::int64_t blank = 0;  ///< class of the blank, in [-C, C); negative counts from the end
  CtcReduction reduction = CtcReduction::mean_by_target;
  ImpossibleTarget impossible = ImpossibleTarget::infinite;
  /// Insist that the gradient takes the place of the logits in memory. Without it that happens where nothing else reads
  /// them later; with it other readers go first, and where one cannot, making the program throws
  /// Error{invalid_argument}.
  bool gradient_in_place = false;
  bool posteriors = false;  ///< also return CtcResult::posteriors
  bool alignment = false;   ///< also return CtcResult::alignment
};

/// T frames, N sequences, C classes, U labels of a sequence, L the most of them.
struct CtcInputs {
  Value targets;         ///< i32 [N, L] padded with anything, or [labels] one sequence after the other
  Value target_lengths;  ///< i32 [N]; absent: all L (padded targets only)
  Value input_lengths;   ///< i32 [N], in [0, T]; absent: all T
  Value weights;         ///< [N], factors of each sequence's loss; absent: 1
};

struct CtcResult {
  Value loss;          ///< [], or [N] with CtcReduction::none; never negative, as long as probabilities sum to 1
  Value per_sequence;  ///< [N] -ln p(target | x), before policy, weights and reduction; has no gradient
  Value status;        ///< i32 [N]: 0, or where the target is impossible the number of frames it needs
  Value posteriors;    ///< [T, N, C] p(class at t | target, x); 0 past a length or where impossible; no gradient
  Value alignment;     ///< [T, N, 2*L+1] p(state at t | target, x) over blank, label, blank, ...; no gradient
};

/// The loss from logits: softmax inside, gradient by the logits.
/// @param logits  [T, N, C]; frames past a length may hold anything, their gradient is exactly 0; NaN in a frame that
/// counts makes its sequence's loss and gradient NaN, unless the sequence weighs 0
/// @throws Error{invalid_argument} naming the argument: a shape, a length, or a label that is the blank or not in [0,
/// C)
SEQGPU_API CtcResult ctc_loss(Value logits, const CtcInputs& inputs, const CtcOptions& options = {});

/// The loss from log-probabilities, whatever they sum to; the gradient is the one by the log-probabilities.
SEQGPU_API CtcResult ctc_loss_from_log_probs(Value log_probs, const CtcInputs& inputs, const CtcOptions& options = {});

}  // namespace seqgpu
