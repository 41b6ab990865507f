#pragma once

#include "seqgpu/decode/frames.hpp"

namespace seqgpu::decode {

/// Where one label of a target is said: frames begin <= t < end.
struct AlignedLabel {
  std::int32_t label = 0;
  std::int32_t begin = 0, end = 0;
  double mean_log_prob = 0;  ///< of the label over its frames
  double confidence = 0;     ///< exp(mean_log_prob): the geometric mean of its probabilities, 0 to 1
  bool operator==(const AlignedLabel&) const = default;
};

enum class AlignStatus : std::uint8_t {
  aligned,
  too_few_frames,    ///< fewer frames than frames_required
  zero_probability,  ///< every alignment crosses a log-probability of -infinity
};

/// "aligned", ...
SEQGPU_API const char* to_string(AlignStatus status);

struct Alignment {
  AlignStatus status = AlignStatus::aligned;
  std::int64_t frames_required = 0;  ///< labels, and one blank between equal neighbours
  std::vector<std::int32_t> path;    ///< [length] class of each frame; empty unless aligned
  std::vector<AlignedLabel> labels;  ///< [target] in order; empty unless aligned
  double log_prob = 0;               ///< of the path; -infinity unless aligned
  bool operator==(const Alignment&) const = default;
};

struct AlignOptions {
  std::int32_t blank = 0;  ///< negative: from the end
  int threads = 1;         ///< 0: as many as the machine has; the result does not depend on it
};

/// The most probable alignment of each target (Viterbi over CTC's 2*U+1 states). Of equals the one that stays, else
/// moves least, from the end backwards. Holds 2 bits for each frame and state: T * (2*U+1) / 4 bytes a thread.
/// @param targets  [N] label sequences without blanks, of any length; an impossible one is reported, never guessed
/// @return [N]
/// @throws Error{invalid_argument} for sizes that do not fit, a label that is the blank or no class, or a NaN
SEQGPU_API std::vector<Alignment> forced_align(const FramesView& frames,
                                               std::span<const std::vector<std::int32_t>> targets,
                                               const AlignOptions& options = {});

}  // namespace seqgpu::decode
