#pragma once

#include <optional>

#include "seqgpu/decode/frames.hpp"

namespace seqgpu::decode {

/// The map B of CTC (Graves et al. 2006): equal neighbours become one label, then blanks go. Without a blank it is
/// trimming alone, and a label can never follow itself.
SEQGPU_API std::vector<std::int32_t> collapse(std::span<const std::int32_t> path,
                                              std::optional<std::int32_t> blank = std::nullopt);

struct GreedyOptions {
  std::int32_t blank = 0;  ///< negative: from the end
  int threads = 1;         ///< 0: as many as the machine has; the result does not depend on it
};

/// Best path: collapse() of the most probable class of each frame, the lowest index where several are.
/// @param frames  any score that ranks the classes of a frame will do: logits give the same labels
/// @return [N]; log_prob is that of the path: the sum of each frame's maximum
/// @throws Error{invalid_argument} for sizes that do not fit, a blank that is no class, or a NaN
SEQGPU_API std::vector<Hypothesis> greedy(const FramesView& frames, const GreedyOptions& options = {});

/// The same for a network without a blank, whose every frame carries a label.
/// @param threads  as in GreedyOptions
SEQGPU_API std::vector<Hypothesis> greedy_trimmed(const FramesView& frames, int threads = 1);

}  // namespace seqgpu::decode
