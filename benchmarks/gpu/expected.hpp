#pragma once

#include <algorithm>
#include <cmath>
#include <string>

#include "benchmarks/support/results.hpp"
#include "benchmarks/support/workload.hpp"

// What every contestant on a GPU must compute before it is timed: a few steps of each layer, computed once by our CPU
// device in f32 and kept in files that all read (expected.cpp writes them, torch_rnn.py has the same three functions).
namespace seqgpu::benchmark {

/// The same layer with so few steps that the CPU is quick.
inline Workload shortened(Workload w) {
  double per_step = 0;  // floating-point operations of training
  for (int layer = 0; layer < w.layers; ++layer) per_step += 24.0 * w.N * w.H * (w.H + w.inputs(layer)) * w.directions;
  w.T = std::min(w.T, std::clamp(static_cast<int>(2e10 / per_step), 3, 24));
  return w;
}

/// No tensor has more values than this in a file.
inline constexpr std::size_t kKept = 65536;

/// Every n-th value of a large tensor. n is odd, so that no column of a matrix of 2^k columns is always left out.
inline Results thinned(const Results& results) {
  Results found;
  for (const auto& [name, values] : results) {
    const std::size_t step = values.size() <= kKept ? 1 : ((values.size() + kKept - 1) / kKept) | 1;
    auto& kept = found.emplace_back(name, std::vector<float>()).second;
    for (std::size_t i = 0; i < values.size(); i += step) kept.push_back(values[i]);
  }
  return found;
}

/// @param pass  forward, train
inline std::string expected_path(const std::string& folder, const Workload& w, const char* pass) {
  return folder + "/" + w.name() + "." + pass;
}

/// How far the shortened workload's results are from the file's.
/// @throws std::runtime_error where there is no such file
inline Disagreement disagreement(const std::string& folder, const Workload& w, const char* pass, const Results& got) {
  return compare(thinned(got), read_results(expected_path(folder, w, pass)));
}

/// x, dy or a result [T, N, width] with the steps past each length set to zero: there anything goes.
inline void clear_padding(std::vector<float>& values, const Workload& w, int width) {
  if (!w.ragged) return;
  const std::vector<std::int32_t> lengths = w.lengths();
  const auto row = static_cast<std::size_t>(width);
  for (int t = 0; t < w.T; ++t) {
    for (std::size_t n = 0; n < lengths.size(); ++n) {
      if (t < lengths[n]) continue;
      const auto at =
          values.begin() + static_cast<std::ptrdiff_t>((static_cast<std::size_t>(t) * lengths.size() + n) * row);
      std::fill(at, at + width, 0.f);
    }
  }
}

}  // namespace seqgpu::benchmark
