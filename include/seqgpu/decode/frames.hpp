#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "seqgpu/export.hpp"

namespace seqgpu::decode {

/// What a network says of each frame of a padded batch, time first, on the host. Not owned.
struct FramesView {
  std::span<const float> log_probs;       ///< [T, N, C], natural logarithms; -infinity is legal, NaN is not
  std::int64_t T = 0, N = 0, C = 0;       ///< frames, sequences, classes
  std::span<const std::int32_t> lengths;  ///< [N], 0 <= lengths[n] <= T; empty: all are T. Later frames are not read
};

/// One decoded sequence.
struct Hypothesis {
  std::vector<std::int32_t> labels;
  std::vector<std::int32_t> frames;  ///< [labels] where each label begins, 0-based, on the best alignment seen
  std::vector<double> log_probs;     ///< [labels] log-probability of the label at that frame
  double log_prob = 0;               ///< of the frames alone; the decoder says of what: one alignment, or all it kept
  double score = 0;                  ///< log_prob with the language model's and the lexicon's terms: what ranks
  bool operator==(const Hypothesis&) const = default;
};

}  // namespace seqgpu::decode
