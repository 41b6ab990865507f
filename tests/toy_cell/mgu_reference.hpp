#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

// The minimal gated unit in double, from its equations alone: one sequence, one step, one unit at a time.
namespace seqgpu::reference {

struct Mgu {
  bool reverse = false;
  std::size_t T = 0, N = 0, I = 0, H = 0;
  std::vector<double> x, w_ih, w_hh, b_ih, b_hh, h0;  // h0 [N, H]
  std::vector<int> lengths;
};

struct MguResult {
  std::vector<double> y, final;  // [T, N, H], [N, H]
};

inline MguResult mgu(const Mgu& p) {
  const std::size_t H = p.H;
  MguResult out{std::vector<double>(p.T * p.N * H, 0), p.h0};
  const auto sigm = [](double v) { return 1 / (1 + std::exp(-v)); };
  for (std::size_t n = 0; n < p.N; ++n) {
    const auto length = static_cast<std::size_t>(p.lengths[n]);
    for (std::size_t s = 0; s < length; ++s) {
      const std::size_t t = p.reverse ? length - 1 - s : s;
      const std::vector<double> h(out.final.begin() + static_cast<std::ptrdiff_t>(n * H),
                                  out.final.begin() + static_cast<std::ptrdiff_t>((n + 1) * H));
      for (std::size_t u = 0; u < H; ++u) {
        double wx[2], rh[2];
        for (std::size_t g = 0; g < 2; ++g) {
          const std::size_t row = g * H + u;
          wx[g] = p.b_ih[row];
          rh[g] = p.b_hh[row];
          for (std::size_t i = 0; i < p.I; ++i) wx[g] += p.w_ih[row * p.I + i] * p.x[(t * p.N + n) * p.I + i];
          for (std::size_t k = 0; k < H; ++k) rh[g] += p.w_hh[row * H + k] * h[k];
        }
        const double f = sigm(wx[0] + rh[0]);
        out.final[n * H + u] = (1 - f) * h[u] + f * std::tanh(wx[1] + f * rh[1]);
        out.y[(t * p.N + n) * H + u] = out.final[n * H + u];
      }
    }
  }
  return out;
}

}  // namespace seqgpu::reference
