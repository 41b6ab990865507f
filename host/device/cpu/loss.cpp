#include <algorithm>
#include <cmath>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/instantiate.hpp"
#include "device/cpu/table.hpp"
#include "device/input_errors.hpp"

// Softmax, log-softmax and the losses. Row r of a ragged batch is step r / N of sequence r % N.
namespace seqgpu::device::cpu {
namespace {

constexpr std::int64_t kRows = 64;  // per tile

template <class F>
void each_row(const Arguments& a, std::int64_t rows, F&& f) {
  a.parallel->for_each((rows + kRows - 1) / kRows, [&](std::int64_t tile) {
    const std::int64_t end = std::min(rows, (tile + 1) * kRows);
    for (std::int64_t r = tile * kRows; r < end; ++r) f(r);
  });
}

bool is_valid(const std::int32_t* lengths, std::int64_t row, std::int64_t n) {
  return !lengths || row / n < lengths[row % n];
}

/// Rows that count; refuses labels outside [0, K).
template <class D>
std::int64_t count_labels(const D& d, const std::int32_t* labels, const std::int32_t* lengths) {
  check_lengths("cross_entropy", lengths, d.N, d.N ? d.rows / d.N : 0);
  std::int64_t count = 0;
  for (std::int64_t r = 0; r < d.rows; ++r) {
    if (!is_valid(lengths, r, d.N) || labels[r] == d.ignore_index) continue;
    if (labels[r] < 0 || labels[r] >= d.K) {
      throw label_error(d.K, d.ignore_index, labels[r], r, d.N);
    }
    ++count;
  }
  return count;
}

template <class D>
std::int64_t count_rows(const D& d, const std::int32_t* lengths) {
  check_lengths("mean_squared_error", lengths, d.N, d.N ? d.rows / d.N : 0);
  std::int64_t rows = 0;
  for (std::int64_t r = 0; r < d.rows; ++r) rows += is_valid(lengths, r, d.N);
  return rows;
}

}  // namespace

template <class T>
void compute(const op::SoftmaxDesc& d, const Arguments& a) {
  const T* x = in<T>(a, 0);
  T* y = out<T>(a, 0);
  each_row(a, d.rows, [=](std::int64_t r) {
    const T* from = x + r * d.cols;
    T* to = y + r * d.cols;
    const auto& kernels = simd().elementwise<T>();
    const T total = kernels.log_sum_exp(from, d.cols);
    if (!d.log) return kernels.exponentials(from, total, T(1), T(0), to, d.cols);
    for (std::int64_t i = 0; i < d.cols; ++i) to[i] = from[i] - total;
  });
}

// softmax: dx = y (dy - sum y dy).   log-softmax: dx = dy - exp(y) sum dy.
template <class T>
void compute(const op::SoftmaxBackwardDesc& d, const Arguments& a) {
  const T *y = in<T>(a, 0), *dy = in<T>(a, 1);
  T* dx = out<T>(a, 0);
  each_row(a, d.rows, [=](std::int64_t r) {
    T total = 0;
    for (std::int64_t i = r * d.cols; i < (r + 1) * d.cols; ++i) total += d.log ? dy[i] : y[i] * dy[i];
    for (std::int64_t i = r * d.cols; i < (r + 1) * d.cols; ++i) {
      dx[i] = d.log ? dy[i] - std::exp(y[i]) * total : y[i] * (dy[i] - total);
    }
  });
}

template <class T>
void compute(const op::CrossEntropyDesc& d, const Arguments& a) {
  const T* logits = in<T>(a, 0);
  const auto *labels = in<std::int32_t>(a, 1), *lengths = in<std::int32_t>(a, 2);
  T* lse = out<T>(a, 1);
  auto* sums = static_cast<double*>(a.workspace);
  const std::int64_t count = count_labels(d, labels, lengths);
  const double smoothing = static_cast<double>(d.smoothing);
  const std::int64_t tiles = (d.rows + kRows - 1) / kRows;
  a.parallel->for_each(tiles, [&](std::int64_t tile) {
    double sum = 0;
    for (std::int64_t r = tile * kRows; r < std::min(d.rows, (tile + 1) * kRows); ++r) {
      const bool counts = is_valid(lengths, r, d.N) && labels[r] != d.ignore_index;
      const T* row = logits + r * d.K;
      const T total = counts ? simd().elementwise<T>().log_sum_exp(row, d.K) : T(0);
      if (lse) lse[r] = total;
      if (!counts) continue;
      sum += (1 - smoothing) * static_cast<double>(total - row[labels[r]]);
      if (smoothing > 0) {
        double mean = 0;
        for (std::int64_t k = 0; k < d.K; ++k) mean += static_cast<double>(row[k]);
        sum += smoothing * (static_cast<double>(total) - mean / static_cast<double>(d.K));
      }
    }
    sums[tile] = sum;
  });
  double loss = 0;
  for (std::int64_t tile = 0; tile < tiles; ++tile) loss += sums[tile];
  *out<T>(a, 0) = static_cast<T>(count > 0 ? loss / static_cast<double>(count) : 0.0);
}

// dlogits = (softmax - (1-s) onehot - s/K) dloss / count; exactly 0 on rows that do not count.
template <class T>
void compute(const op::CrossEntropyBackwardDesc& d, const Arguments& a) {
  const T *logits = in<T>(a, 0), *lse = in<T>(a, 3);
  const auto *labels = in<std::int32_t>(a, 1), *lengths = in<std::int32_t>(a, 2);
  T* dx = out<T>(a, 0);
  const std::int64_t count = count_labels(d, labels, lengths);
  const T scale = count > 0 ? *in<T>(a, 4) / static_cast<T>(count) : T(0);
  const T smooth = static_cast<T>(d.smoothing), share = smooth / static_cast<T>(d.K);
  each_row(a, d.rows, [=](std::int64_t r) {
    T* row = dx + r * d.K;
    if (!is_valid(lengths, r, d.N) || labels[r] == d.ignore_index) {
      std::fill_n(row, d.K, T(0));
      return;
    }
    simd().elementwise<T>().exponentials(logits + r * d.K, lse[r], scale, scale * share, row, d.K);
    row[labels[r]] -= scale * (T(1) - smooth);
  });
}

template <class T>
void compute(const op::SquaredErrorDesc& d, const Arguments& a) {
  const T *x = in<T>(a, 0), *target = in<T>(a, 1);
  const auto* lengths = in<std::int32_t>(a, 2);
  double sum = 0;
  for (std::int64_t r = 0; r < d.rows; ++r) {
    if (!is_valid(lengths, r, d.N)) continue;
    for (std::int64_t i = r * d.width; i < (r + 1) * d.width; ++i) {
      const double error = static_cast<double>(x[i]) - static_cast<double>(target[i]);
      sum += error * error;
    }
  }
  const std::int64_t count = count_rows(d, lengths) * d.width;
  *out<T>(a, 0) = static_cast<T>(count > 0 ? sum / static_cast<double>(count) : 0.0);
}

template <class T>
void compute(const op::SquaredErrorBackwardDesc& d, const Arguments& a) {
  const T *x = in<T>(a, 0), *target = in<T>(a, 1);
  const auto* lengths = in<std::int32_t>(a, 2);
  T* dx = out<T>(a, 0);
  const std::int64_t count = count_rows(d, lengths) * d.width;
  const T scale = count > 0 ? T(2) * *in<T>(a, 3) / static_cast<T>(count) : T(0);
  for (std::int64_t r = 0; r < d.rows; ++r) {
    const bool counts = is_valid(lengths, r, d.N);
    for (std::int64_t i = r * d.width; i < (r + 1) * d.width; ++i) dx[i] = counts ? scale * (x[i] - target[i]) : T(0);
  }
}

SEQGPU_INSTANTIATE(SoftmaxDesc)
SEQGPU_INSTANTIATE(SoftmaxBackwardDesc)
SEQGPU_INSTANTIATE(CrossEntropyDesc)
SEQGPU_INSTANTIATE(CrossEntropyBackwardDesc)
SEQGPU_INSTANTIATE(SquaredErrorDesc)
SEQGPU_INSTANTIATE(SquaredErrorBackwardDesc)

}  // namespace seqgpu::device::cpu
