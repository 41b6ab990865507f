#pragma once

#include <cmath>
#include <limits>
#include <vector>

#include "tests/reference/ops.hpp"

// CTC in double, from the equations of Graves et al. 2006: in log space frame by frame, and by summing over all paths.
namespace seqgpu::reference {

inline double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return std::isinf(b) ? a : a + std::log1p(std::exp(b - a));
}

/// Frames that a target needs: a blank must part equal neighbours.
inline std::int64_t ctc_frames_needed(const Ints& target) {
  auto frames = static_cast<std::int64_t>(target.size());
  for (std::size_t u = 1; u < target.size(); ++u) frames += target[u] == target[u - 1];
  return frames;
}

/// ln softmax of each row of x [rows, C].
inline Doubles ctc_log_softmax(const Doubles& x, std::int64_t C) {
  Doubles y(x.size());
  for (std::size_t row = 0; row < x.size(); row += static_cast<std::size_t>(C)) {
    double sum = -std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) sum = log_add(sum, x[row + c]);
    for (std::size_t c = 0; c < static_cast<std::size_t>(C); ++c) y[row + c] = x[row + c] - sum;
  }
  return y;
}

struct Ctc {
  double loss = 0;      // -ln p(target | x); infinity where impossible
  Doubles alignment;    // [T, 2*U+1] p(state at t | target, x)
  Doubles posteriors;   // [T, C] the same by class
  Doubles by_log_prob;  // [T, C] d loss / d log_probs = -posteriors
  Doubles by_logit;     // [T, C] d loss / d logits = softmax - posteriors
};

/// One sequence. @param log_probs [T, C]
inline Ctc ctc(const Doubles& log_probs, std::int64_t T, std::int64_t C, const Ints& target, std::int64_t blank) {
  constexpr double kNever = -std::numeric_limits<double>::infinity();
  const auto S = static_cast<std::int64_t>(2 * target.size() + 1);
  const auto label = [&](std::int64_t s) { return s % 2 == 0 ? blank : target[static_cast<std::size_t>(s / 2)]; };
  const auto skips = [&](std::int64_t s) { return s % 2 == 1 && s >= 3 && label(s) != label(s - 2); };
  const auto emit = [&](std::int64_t t, std::int64_t s) {
    return log_probs[static_cast<std::size_t>(t * C + label(s))];
  };
  Doubles alpha(static_cast<std::size_t>(T * S), kNever), beta = alpha;
  const auto at = [&](std::int64_t t, std::int64_t s) { return static_cast<std::size_t>(t * S + s); };
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t s = 0; s < S; ++s) {
      double from = t == 0 ? (s <= 1 ? 0 : kNever) : alpha[at(t - 1, s)];
      if (t > 0 && s >= 1) from = log_add(from, alpha[at(t - 1, s - 1)]);
      if (t > 0 && skips(s)) from = log_add(from, alpha[at(t - 1, s - 2)]);
      alpha[at(t, s)] = from + emit(t, s);
    }
  for (std::int64_t t = T; t-- > 0;)  // beta leaves out the emission at t
    for (std::int64_t s = 0; s < S; ++s) {
      if (t == T - 1) {
        beta[at(t, s)] = s >= S - 2 ? 0 : kNever;
        continue;
      }
      double to = beta[at(t + 1, s)] + emit(t + 1, s);
      if (s + 1 < S) to = log_add(to, beta[at(t + 1, s + 1)] + emit(t + 1, s + 1));
      if (s + 2 < S && skips(s + 2)) to = log_add(to, beta[at(t + 1, s + 2)] + emit(t + 1, s + 2));
      beta[at(t, s)] = to;
    }
  Ctc r;
  double total = T == 0 ? (S == 1 ? 0 : kNever) : alpha[at(T - 1, S - 1)];
  if (T > 0 && S > 1) total = log_add(total, alpha[at(T - 1, S - 2)]);
  r.loss = -total;
  r.alignment.assign(static_cast<std::size_t>(T * S), 0);
  r.posteriors.assign(static_cast<std::size_t>(T * C), 0);
  r.by_log_prob = r.by_logit = r.posteriors;
  if (std::isinf(r.loss)) return r;
  for (std::int64_t t = 0; t < T; ++t) {
    for (std::int64_t s = 0; s < S; ++s) {
      const double p = std::exp(alpha[at(t, s)] + beta[at(t, s)] - total);
      r.alignment[at(t, s)] = p;
      r.posteriors[static_cast<std::size_t>(t * C + label(s))] += p;
    }
    for (std::int64_t c = 0; c < C; ++c) {
      const auto i = static_cast<std::size_t>(t * C + c);
      r.by_log_prob[i] = -r.posteriors[i];
      r.by_logit[i] = std::exp(log_probs[i]) - r.posteriors[i];
    }
  }
  return r;
}

/// -ln of the sum over all C^T paths that give the target once repeats are merged and blanks dropped. T <= 7, C <= 4.
inline double ctc_by_paths(const Doubles& log_probs, std::int64_t T, std::int64_t C, const Ints& target,
                           std::int64_t blank) {
  double sum = 0;
  Ints path(static_cast<std::size_t>(T), 0);
  for (;;) {
    Ints labels;
    double log_p = 0;
    for (std::size_t t = 0; t < path.size(); ++t) {
      log_p += log_probs[t * static_cast<std::size_t>(C) + static_cast<std::size_t>(path[t])];
      if (path[t] != blank && (t == 0 || path[t] != path[t - 1])) labels.push_back(path[t]);
    }
    if (labels == target) sum += std::exp(log_p);
    std::size_t t = 0;
    while (t < path.size() && ++path[t] == C) path[t++] = 0;
    if (t == path.size()) return -std::log(sum);
  }
}

}  // namespace seqgpu::reference
