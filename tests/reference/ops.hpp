#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

// Operations in double, from their equations alone.
namespace seqgpu::reference {

using Doubles = std::vector<double>;
using Ints = std::vector<std::int64_t>;

inline Doubles embedding(const Doubles& table, const Ints& ids, std::int64_t width) {
  Doubles y;
  for (const auto id : ids) y.insert(y.end(), table.begin() + id * width, table.begin() + (id + 1) * width);
  return y;
}

/// a [m, k] times b [k, n], or [n, k] transposed, plus bias [n].
inline Doubles matmul(const Doubles& a, const Doubles& b, std::int64_t m, std::int64_t n, std::int64_t k,
                      bool transpose_b, const Doubles& bias = {}) {
  Doubles y;
  for (std::int64_t i = 0; i < m; ++i)
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = bias.empty() ? 0 : bias[j];
      for (std::int64_t p = 0; p < k; ++p) sum += a[i * k + p] * (transpose_b ? b[j * k + p] : b[p * n + j]);
      y.push_back(sum);
    }
  return y;
}

/// f(a[i], b[i mod |b|])
template <class F>
Doubles zip(const Doubles& a, const Doubles& b, F f) {
  Doubles y;
  for (std::size_t i = 0; i < a.size(); ++i) y.push_back(f(a[i], b[i % b.size()]));
  return y;
}

/// Rows [begin, end) of the middle axis of x [outer, extent, inner].
inline Doubles slice(const Doubles& x, std::int64_t outer, std::int64_t extent, std::int64_t inner, std::int64_t begin,
                     std::int64_t end) {
  Doubles y;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t e = begin; e < end; ++e)
      for (std::int64_t i = 0; i < inner; ++i) y.push_back(x[(o * extent + e) * inner + i]);
  return y;
}

inline Doubles concat(const std::vector<Doubles>& parts, const Ints& extents, std::int64_t outer, std::int64_t inner) {
  Doubles y;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::size_t p = 0; p < parts.size(); ++p)
      for (std::int64_t i = 0; i < extents[p] * inner; ++i) y.push_back(parts[p][o * extents[p] * inner + i]);
  return y;
}

/// y[t, n, (d + radius) * E + e] = x[t + d, n, e] where both t and t + d are in the sequence, else 0
inline Doubles window(const Doubles& x, std::int64_t T, std::int64_t N, std::int64_t E, std::int64_t radius,
                      const Ints& lengths) {
  Doubles y;
  for (std::int64_t t = 0; t < T; ++t)
    for (std::int64_t n = 0; n < N; ++n)
      for (std::int64_t d = -radius; d <= radius; ++d)
        for (std::int64_t e = 0; e < E; ++e) {
          const std::int64_t from = t + d, length = lengths.empty() ? T : lengths[n];
          y.push_back(t < length && from >= 0 && from < length ? x[(from * N + n) * E + e] : 0);
        }
  return y;
}

inline Doubles softmax(const Doubles& x, std::int64_t cols, bool log) {
  Doubles y;
  for (std::size_t row = 0; cols > 0 && row < x.size(); row += cols) {
    const double top = *std::max_element(x.begin() + row, x.begin() + row + cols);
    double sum = 0;
    for (std::int64_t c = 0; c < cols; ++c) sum += std::exp(x[row + c] - top);
    for (std::int64_t c = 0; c < cols; ++c) {
      const double l = x[row + c] - top - std::log(sum);
      y.push_back(log ? l : std::exp(l));
    }
  }
  return y;
}

/// kind: 0 sum, 1 mean, 2 max
inline Doubles reduce(const Doubles& x, std::int64_t outer, std::int64_t extent, std::int64_t inner, int kind) {
  Doubles y;
  for (std::int64_t o = 0; o < outer; ++o)
    for (std::int64_t i = 0; i < inner; ++i) {
      double total = kind == 2 ? -INFINITY : 0;
      for (std::int64_t e = 0; e < extent; ++e) {
        const double v = x[(o * extent + e) * inner + i];
        total = kind == 2 ? std::max(total, v) : total + v;
      }
      y.push_back(kind == 1 && extent > 0 ? total / static_cast<double>(extent) : total);
    }
  return y;
}

/// Mean over counted rows of (1-s) * -log p[label] + s/K * sum of -log p. Row r is step r / N of sequence r % N.
inline double cross_entropy(const Doubles& logits, const Ints& labels, std::int64_t K, std::int64_t N,
                            const Ints& lengths, std::int64_t ignore, double smoothing) {
  const Doubles p = softmax(logits, K, true);
  double sum = 0, counted = 0;
  for (std::size_t r = 0; r < labels.size(); ++r) {
    if (labels[r] == ignore) continue;
    if (!lengths.empty() && static_cast<std::int64_t>(r) / N >= lengths[r % N]) continue;
    ++counted;
    sum -= (1 - smoothing) * p[r * K + labels[r]];
    for (std::int64_t k = 0; k < K; ++k) sum -= smoothing / static_cast<double>(K) * p[r * K + k];
  }
  return counted > 0 ? sum / counted : 0;
}

inline double squared_error(const Doubles& x, const Doubles& target, std::int64_t N, std::int64_t width,
                            const Ints& lengths) {
  double sum = 0, counted = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::int64_t row = static_cast<std::int64_t>(i) / width;
    if (!lengths.empty() && row / N >= lengths[row % N]) continue;
    ++counted;
    sum += (x[i] - target[i]) * (x[i] - target[i]);
  }
  return counted > 0 ? sum / counted : 0;
}

}  // namespace seqgpu::reference
