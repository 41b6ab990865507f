#include "seqgpu/decode/forced_align.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "decode/sequences.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::decode {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

// How many states (0, 1 or 2) each state was reached across: four to a byte, each frame from a new byte.
class BackPointers {
 public:
  BackPointers(std::int64_t frames, std::int64_t states)
      : row_((states + 3) / 4), bytes_(static_cast<std::size_t>(frames * row_)) {}

  void set(std::int64_t t, std::int64_t s, int move) {
    bytes_[at(t, s)] = static_cast<std::uint8_t>(bytes_[at(t, s)] | move << shift(s));
  }
  int get(std::int64_t t, std::int64_t s) const { return bytes_[at(t, s)] >> shift(s) & 3; }

 private:
  std::size_t at(std::int64_t t, std::int64_t s) const { return static_cast<std::size_t>(t * row_ + s / 4); }
  static int shift(std::int64_t s) { return static_cast<int>(s % 4) * 2; }

  std::int64_t row_;
  std::vector<std::uint8_t> bytes_;
};

// The states of a target: blanks at even places, labels at odd ones.
class States {
 public:
  States(std::span<const std::int32_t> target, std::int32_t blank) : target_(target), blank_(blank) {}

  std::int64_t size() const { return 2 * static_cast<std::int64_t>(target_.size()) + 1; }
  std::int32_t operator[](std::int64_t s) const {
    return s % 2 == 0 ? blank_ : target_[static_cast<std::size_t>(s / 2)];
  }
  /// Whether s may follow s-2: the blank between two labels is left out only where they differ.
  bool may_skip(std::int64_t s) const { return s % 2 == 1 && s >= 3 && (*this)[s] != (*this)[s - 2]; }

 private:
  std::span<const std::int32_t> target_;
  std::int32_t blank_;
};

// Viterbi: the state at each frame, empty where every alignment has probability zero.
std::vector<std::int64_t> best_states(const SequenceView& frames, const States& states) {
  const std::int64_t S = states.size(), T = frames.T;
  BackPointers moves(T, S);
  std::vector<double> score(static_cast<std::size_t>(S), kNever);
  const auto at = [&](std::int64_t s) -> double& { return score[static_cast<std::size_t>(s)]; };
  const auto emit = [&](std::int64_t t, std::int64_t s) -> double {
    return frames[t][static_cast<std::size_t>(states[s])];
  };
  for (std::int64_t s = 0; s < std::min<std::int64_t>(S, 2); ++s) at(s) = emit(0, s);
  for (std::int64_t t = 1; t < T; ++t) {
    // Only states that t frames can reach, and that T-1-t frames can leave; downwards, as each reads those below.
    const std::int64_t first = std::max<std::int64_t>(0, S - 2 * (T - t));
    for (std::int64_t s = std::min(S - 1, 2 * t + 1); s >= first; --s) {
      int move = 0;
      double best = at(s);
      for (int m = 1; m <= (states.may_skip(s) ? 2 : 1) && m <= s; ++m) {
        if (at(s - m) > best) {
          best = at(s - m);
          move = m;
        }
      }
      at(s) = best + emit(t, s);
      moves.set(t, s, move);
    }
  }
  std::int64_t s = S > 1 && at(S - 2) >= at(S - 1) ? S - 2 : S - 1;
  if (at(s) == kNever) return {};
  std::vector<std::int64_t> path(static_cast<std::size_t>(T));
  for (std::int64_t t = T; t-- > 0;) {
    path[static_cast<std::size_t>(t)] = s;
    if (t > 0) s -= moves.get(t, s);
  }
  return path;
}

std::int64_t frames_required(std::span<const std::int32_t> target) {
  auto frames = static_cast<std::int64_t>(target.size());
  for (std::size_t u = 1; u < target.size(); ++u) frames += target[u] == target[u - 1];
  return frames;
}

Alignment align(const SequenceView& frames, std::span<const std::int32_t> target, std::int32_t blank) {
  Alignment a;
  a.frames_required = frames_required(target);
  const auto impossible = [&](AlignStatus status) {
    a.status = status;
    a.log_prob = kNever;
    return a;
  };
  if (frames.T < a.frames_required) return impossible(AlignStatus::too_few_frames);
  if (frames.T == 0) return a;
  const States states(target, blank);
  const auto path = best_states(frames, states);
  if (path.empty()) return impossible(AlignStatus::zero_probability);
  for (std::int64_t t = 0; t < frames.T; ++t) {
    const std::int64_t s = path[static_cast<std::size_t>(t)];
    const std::int32_t label = states[s];
    const double log_prob = frames[t][static_cast<std::size_t>(label)];
    a.path.push_back(label);
    a.log_prob += log_prob;
    if (s % 2 == 0) continue;
    const auto frame = static_cast<std::int32_t>(t);
    if (t == 0 || path[static_cast<std::size_t>(t - 1)] != s) a.labels.push_back({label, frame, frame, 0, 0});
    a.labels.back().end = frame + 1;
    a.labels.back().mean_log_prob += log_prob;
  }
  for (AlignedLabel& span : a.labels) {
    span.mean_log_prob /= span.end - span.begin;
    span.confidence = std::exp(span.mean_log_prob);
  }
  return a;
}

void check_targets(const FramesView& frames, std::span<const std::vector<std::int32_t>> targets, std::int32_t blank) {
  const auto refuse = [](const std::string& argument, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, "forced_align", argument, detail);
  };
  if (static_cast<std::int64_t>(targets.size()) != frames.N) {
    refuse("targets", "must be [N], got " + std::to_string(targets.size()) + " for N=" + std::to_string(frames.N));
  }
  for (std::size_t n = 0; n < targets.size(); ++n) {
    for (std::size_t u = 0; u < targets[n].size(); ++u) {
      const std::int32_t label = targets[n][u];
      const auto where = "targets[" + std::to_string(n) + "][" + std::to_string(u) + "]";
      if (label == blank) refuse(where, "is the blank, " + std::to_string(blank) + "; leave blanks out");
      if (label < 0 || label >= frames.C) {
        refuse(where, "must be from 0 to C-1, got " + std::to_string(label) + " for C=" + std::to_string(frames.C));
      }
    }
  }
}

}  // namespace

const char* to_string(AlignStatus status) {
  switch (status) {
    case AlignStatus::aligned: return "aligned";
    case AlignStatus::too_few_frames: return "too_few_frames";
    case AlignStatus::zero_probability: return "zero_probability";
  }
  return "unknown";
}

std::vector<Alignment> forced_align(const FramesView& frames, std::span<const std::vector<std::int32_t>> targets,
                                    const AlignOptions& options) {
  check_frames("forced_align", frames);
  const std::int32_t blank = resolve_blank("forced_align", options.blank, frames.C);
  check_targets(frames, targets, blank);
  std::vector<Alignment> results(targets.size());
  for_each_sequence("forced_align", frames.N, options.threads, [&](std::int64_t n) {
    const auto i = static_cast<std::size_t>(n);
    results[i] = align(sequence("forced_align", frames, n), targets[i], blank);
  });
  return results;
}

}  // namespace seqgpu::decode
