#include "seqgpu/decode/greedy.hpp"

#include <algorithm>

#include "decode/sequences.hpp"

namespace seqgpu::decode {

namespace {

constexpr std::int32_t kNoLabel = -1;

// blank: kNoLabel where there is none
Hypothesis best_path(const SequenceView& frames, std::int32_t blank) {
  Hypothesis h;
  std::int32_t previous = kNoLabel;
  for (std::int64_t t = 0; t < frames.T; ++t) {
    const auto row = frames[t];
    const auto best = std::max_element(row.begin(), row.end());  // the first of equals
    const auto label = static_cast<std::int32_t>(best - row.begin());
    h.log_prob += *best;
    if (label != previous && label != blank) {
      h.labels.push_back(label);
      h.frames.push_back(static_cast<std::int32_t>(t));
      h.log_probs.push_back(*best);
    }
    previous = label;
  }
  h.score = h.log_prob;
  return h;
}

std::vector<Hypothesis> best_paths(const char* operation, const FramesView& frames, std::int32_t blank, int threads) {
  std::vector<Hypothesis> results(static_cast<std::size_t>(frames.N));
  for_each_sequence(operation, frames.N, threads, [&](std::int64_t n) {
    results[static_cast<std::size_t>(n)] = best_path(sequence(operation, frames, n), blank);
  });
  return results;
}

}  // namespace

std::vector<std::int32_t> collapse(std::span<const std::int32_t> path, std::optional<std::int32_t> blank) {
  std::vector<std::int32_t> labels;
  for (std::size_t t = 0; t < path.size(); ++t) {
    if ((t == 0 || path[t] != path[t - 1]) && path[t] != blank) labels.push_back(path[t]);
  }
  return labels;
}

std::vector<Hypothesis> greedy(const FramesView& frames, const GreedyOptions& options) {
  check_frames("greedy", frames);
  return best_paths("greedy", frames, resolve_blank("greedy", options.blank, frames.C), options.threads);
}

std::vector<Hypothesis> greedy_trimmed(const FramesView& frames, int threads) {
  check_frames("greedy_trimmed", frames);
  return best_paths("greedy_trimmed", frames, kNoLabel, threads);
}

}  // namespace seqgpu::decode
