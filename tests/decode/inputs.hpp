#pragma once

#include <cmath>
#include <random>
#include <vector>

#include "seqgpu/decode/frames.hpp"
#include "tests/reference/ctc.hpp"

// Batches of frames for the tests of decoders.
namespace seqgpu::decode {

struct Batch {
  std::int64_t T = 0, N = 0, C = 0;
  std::vector<float> log_probs;  // [T, N, C]
  std::vector<std::int32_t> lengths;

  FramesView view() const { return {log_probs, T, N, C, lengths}; }
  /// Sequence n alone, [T, C] in double.
  reference::Doubles sequence(std::int64_t n) const {
    reference::Doubles x;
    for (std::int64_t t = 0; t < T; ++t)
      for (std::int64_t c = 0; c < C; ++c) x.push_back(log_probs[static_cast<std::size_t>((t * N + n) * C + c)]);
    return x;
  }
};

/// Log-softmax of normal scores.
inline Batch random_batch(std::int64_t T, std::int64_t N, std::int64_t C, unsigned seed, double spread = 2) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal(0, spread);
  reference::Doubles x(static_cast<std::size_t>(T * N * C));
  for (double& value : x) value = normal(random);
  const reference::Doubles y = reference::ctc_log_softmax(x, C);
  return {T, N, C, {y.begin(), y.end()}, {}};
}

/// One sequence from a table of rows; as_log: what is done to each value.
template <class Rows, class AsLog>
Batch one_sequence(const Rows& rows, AsLog as_log) {
  Batch batch{static_cast<std::int64_t>(rows.size()), 1, static_cast<std::int64_t>(rows[0].size()), {}, {}};
  for (const auto& row : rows)
    for (const double value : row) batch.log_probs.push_back(static_cast<float>(as_log(value)));
  return batch;
}

/// The first path of C^T, and the next; false after the last.
inline bool next_path(std::vector<std::int32_t>& path, std::int64_t C) {
  std::size_t t = 0;
  while (t < path.size() && ++path[t] == C) path[t++] = 0;
  return t < path.size();
}

}  // namespace seqgpu::decode
