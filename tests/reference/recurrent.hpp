#pragma once

#include <cmath>
#include <cstddef>
#include <vector>

#include "seqgpu/cell.hpp"

// The recurrent layer in double, from its equations alone: one sequence, one step, one unit at a time.
namespace seqgpu::reference {

using Vector = std::vector<double>;

struct Recurrent {
  CellKind cell = CellKind::lstm;
  bool reverse = false;
  int T = 0, N = 0, I = 0, H = 0, R = 0;
  Activation activation = Activation::tanh, output_activation = Activation::tanh,
             projection_activation = Activation::linear;
  bool coupled_gates = false;
  double cell_clip = 0;
  double zoneout[2] = {0, 0};  // mixed in expectation, where there is no keep mask

  Vector x, w_ih, w_hh, b_ih, b_hh, peephole, projection, projection_bias;  // empty: absent
  std::vector<int> lengths, resets;
  Vector initial[2];
  Vector dropout;  // [N, R] factors on what recurs
  Vector keep[2];  // [T, N, width] 1 where a unit keeps its old value
};

struct RecurrentResult {
  Vector y, states;  // [T, N, R], c [T, N, H]
  Vector final[2];
};

inline double act(Activation a, double x) {
  if (a == Activation::tanh) return std::tanh(x);
  if (a == Activation::relu) return x > 0 ? x : 0;
  if (a == Activation::sigmoid) return 1 / (1 + std::exp(-x));
  return x;
}
inline double sigm(double x) { return act(Activation::sigmoid, x); }

/// row `row` of w [., k] times v, plus b[row]
inline double affine(const Vector& w, const Vector& v, const Vector& b, int row) {
  double sum = b.empty() ? 0 : b[row];
  for (std::size_t k = 0; k < v.size(); ++k) sum += w[row * v.size() + k] * v[k];
  return sum;
}

inline RecurrentResult recurrent(const Recurrent& p) {
  const int H = p.H, R = p.R;
  RecurrentResult out;
  out.y.assign(static_cast<std::size_t>(p.T) * p.N * R, 0);
  out.states.assign(static_cast<std::size_t>(p.T) * p.N * H, 0);
  out.final[0].assign(static_cast<std::size_t>(p.N) * R, 0);
  out.final[1].assign(static_cast<std::size_t>(p.N) * H, 0);
  for (int n = 0; n < p.N; ++n) {
    Vector h(R, 0), c(H, 0);
    for (int r = 0; r < R && !p.initial[0].empty(); ++r) h[r] = p.initial[0][n * R + r];
    for (int u = 0; u < H && !p.initial[1].empty(); ++u) c[u] = p.initial[1][n * H + u];
    const int length = p.lengths.empty() ? p.T : p.lengths[n];
    for (int s = 0; s < length; ++s) {
      const int t = p.reverse ? length - 1 - s : s;
      if (!p.resets.empty() && p.resets[t * p.N + n]) h.assign(R, 0), c.assign(H, 0);
      const Vector x(p.x.begin() + (t * p.N + n) * p.I, p.x.begin() + (t * p.N + n + 1) * p.I);
      Vector e = h;
      for (int r = 0; r < R && !p.dropout.empty(); ++r) e[r] *= p.dropout[n * R + r];
      const auto wx = [&](int gate, int u) { return affine(p.w_ih, x, p.b_ih, gate * H + u); };
      const auto rh = [&](int gate, int u) { return affine(p.w_hh, e, p.b_hh, gate * H + u); };
      const auto peep = [&](int row, int u) { return p.peephole.empty() ? 0 : p.peephole[row * H + u]; };
      Vector m(H), c_new = c;
      Vector reset_h(H, 0);
      for (int u = 0; u < H && p.cell == CellKind::gru_reset_before; ++u) reset_h[u] = sigm(wx(0, u) + rh(0, u)) * e[u];
      for (int u = 0; u < H; ++u) {
        if (p.cell == CellKind::elman) {
          m[u] = act(p.activation, wx(0, u) + rh(0, u));
        } else if (p.cell == CellKind::lstm) {
          const double f = sigm(wx(1, u) + rh(1, u) + peep(1, u) * c[u]);
          const double i = p.coupled_gates ? 1 - f : sigm(wx(0, u) + rh(0, u) + peep(0, u) * c[u]);
          c_new[u] = f * c[u] + i * act(p.activation, wx(2, u) + rh(2, u));
          if (p.cell_clip > 0) c_new[u] = std::fmin(std::fmax(c_new[u], -p.cell_clip), p.cell_clip);
          m[u] = sigm(wx(3, u) + rh(3, u) + peep(2, u) * c_new[u]) * act(p.output_activation, c_new[u]);
        } else if (p.cell == CellKind::gru) {
          const double r = sigm(wx(0, u) + rh(0, u)), z = sigm(wx(1, u) + rh(1, u));
          m[u] = (1 - z) * act(p.activation, wx(2, u) + r * rh(2, u)) + z * h[u];
        } else {
          const double z = sigm(wx(1, u) + rh(1, u));
          const double n_gate = act(p.activation, wx(2, u) + affine(p.w_hh, reset_h, p.b_hh, 2 * H + u));
          m[u] = (1 - z) * n_gate + z * h[u];
        }
      }
      Vector h_new = m;
      if (!p.projection.empty()) {
        h_new.assign(R, 0);
        for (int r = 0; r < R; ++r)
          h_new[r] = act(p.projection_activation, affine(p.projection, m, p.projection_bias, r));
      }
      const auto zone = [&](int state, const Vector& old, Vector& next) {
        const int width = static_cast<int>(next.size());
        for (int u = 0; u < width; ++u) {
          const double k = p.keep[state].empty() ? p.zoneout[state] : p.keep[state][(t * p.N + n) * width + u];
          next[u] = k * old[u] + (1 - k) * next[u];
        }
      };
      zone(0, h, h_new);
      zone(1, c, c_new);
      h = h_new;
      c = c_new;
      for (int r = 0; r < R; ++r) out.y[(t * p.N + n) * R + r] = h[r];
      for (int u = 0; u < H; ++u) out.states[(t * p.N + n) * H + u] = c[u];
    }
    for (int r = 0; r < R; ++r) out.final[0][n * R + r] = h[r];
    for (int u = 0; u < H; ++u) out.final[1][n * H + u] = c[u];
  }
  return out;
}

}  // namespace seqgpu::reference
