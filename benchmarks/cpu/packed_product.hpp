#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

// A short matrix product on packed weights, one of the candidates for the best rate: C [m, n] = A [m, k] B, with B in
// panels of kColumns columns, [k][kColumns] each. Six rows by kColumns columns of C are in registers at a time.
namespace seqgpu::benchmark {

#ifdef __AVX512F__
inline constexpr std::ptrdiff_t kLane = 16, kVectors = 4;
#else
inline constexpr std::ptrdiff_t kLane = 8, kVectors = 2;
#endif
inline constexpr std::ptrdiff_t kColumns = kLane * kVectors, kRows = 6;

class PackedProduct {
 public:
  /// @param b  row-major [k, n]
  PackedProduct(const float* b, std::ptrdiff_t n, std::ptrdiff_t k)
      : n_(n), k_(k), panels_(static_cast<std::size_t>((n + kColumns - 1) / kColumns * kColumns * k)) {
    for (std::ptrdiff_t p = 0; p < k; ++p) {
      for (std::ptrdiff_t j = 0; j < n; ++j) {
        panels_[static_cast<std::size_t>(j / kColumns * kColumns * k + p * kColumns + j % kColumns)] = b[p * n + j];
      }
    }
  }

  std::ptrdiff_t panels() const { return (n_ + kColumns - 1) / kColumns; }

  /// Rows [row, end) of C, panels [first, last).
  void run(const float* a, float* c, std::ptrdiff_t row, std::ptrdiff_t end, std::ptrdiff_t first,
           std::ptrdiff_t last) const {
    for (std::ptrdiff_t panel = first; panel < last; ++panel) {
      const float* b = panels_.data() + panel * kColumns * k_;
      for (std::ptrdiff_t i = row; i < end; i += kRows) {
        switch (std::min(kRows, end - i)) {
          case 6: tile<6>(a + i * k_, b, c + i * n_, panel); break;
          case 5: tile<5>(a + i * k_, b, c + i * n_, panel); break;
          case 4: tile<4>(a + i * k_, b, c + i * n_, panel); break;
          case 3: tile<3>(a + i * k_, b, c + i * n_, panel); break;
          case 2: tile<2>(a + i * k_, b, c + i * n_, panel); break;
          default: tile<1>(a + i * k_, b, c + i * n_, panel);
        }
      }
    }
  }

 private:
  typedef float Vector __attribute__((vector_size(kLane * 4), aligned(4)));

  template <int kHeight>
  void tile(const float* a, const float* b, float* c, std::ptrdiff_t panel) const {
    Vector sum[kHeight][kVectors] = {};
    for (std::ptrdiff_t p = 0; p < k_; ++p, b += kColumns) {
      Vector column[kVectors];
      for (std::ptrdiff_t v = 0; v < kVectors; ++v) column[v] = *reinterpret_cast<const Vector*>(b + v * kLane);
      for (int i = 0; i < kHeight; ++i) {
        for (std::ptrdiff_t v = 0; v < kVectors; ++v) sum[i][v] += a[i * k_ + p] * column[v];
      }
    }
    const std::ptrdiff_t width = std::min(kColumns, n_ - panel * kColumns);
    for (int i = 0; i < kHeight; ++i) {
      const auto* from = reinterpret_cast<const float*>(sum[i]);
      std::copy(from, from + width, c + i * n_ + panel * kColumns);
    }
  }

  std::ptrdiff_t n_, k_;
  std::vector<float> panels_;
};

}  // namespace seqgpu::benchmark
