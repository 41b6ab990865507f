#pragma once

#include <cmath>
#include <cstddef>

// Gate maths as plain loops over the units of one sequence, for the compiler to vectorise (-ffast-math turns exp and
// tanh into libmvec's). Used by the contestant `naive`, and timed for the limit. Gate order is PyTorch's.
namespace seqgpu::benchmark {

inline float sigmoid(float a) { return 1.f / (1.f + std::exp(-a)); }

/// One sequence, one step: pointers to its rows, units [begin, end) of H.
struct GateRow {
  std::ptrdiff_t H = 0, begin = 0, end = 0;
  float* a = nullptr;               // [G*H] in: w_ih x + all biases (GRU: b_ih alone); out: the activated gates
  const float* rh = nullptr;        // [G*H] w_hh h (GRU: + b_hh)
  const float* h_before = nullptr;  // [H], GRU
  const float* c_before = nullptr;  // [H], LSTM
  float* c = nullptr;               // [H], LSTM
  float* tanh_c = nullptr;          // [H], LSTM
  float* h = nullptr;               // [H]
};

inline void lstm_forward(const GateRow& r) {
  const std::ptrdiff_t H = r.H;
#pragma GCC ivdep
  for (std::ptrdiff_t u = r.begin; u < r.end; ++u) {
    const float i = sigmoid(r.a[u] + r.rh[u]), f = sigmoid(r.a[H + u] + r.rh[H + u]);
    const float g = std::tanh(r.a[2 * H + u] + r.rh[2 * H + u]), o = sigmoid(r.a[3 * H + u] + r.rh[3 * H + u]);
    const float c = f * r.c_before[u] + i * g, t = std::tanh(c);
    r.a[u] = i, r.a[H + u] = f, r.a[2 * H + u] = g, r.a[3 * H + u] = o;
    r.c[u] = c, r.tanh_c[u] = t, r.h[u] = o * t;
  }
}

inline void gru_forward(const GateRow& q) {
  const std::ptrdiff_t H = q.H;
#pragma GCC ivdep
  for (std::ptrdiff_t u = q.begin; u < q.end; ++u) {
    const float r = sigmoid(q.a[u] + q.rh[u]), z = sigmoid(q.a[H + u] + q.rh[H + u]);
    const float n = std::tanh(q.a[2 * H + u] + r * q.rh[2 * H + u]);
    q.a[u] = r, q.a[H + u] = z, q.a[2 * H + u] = n;
    q.h[u] = n + z * (q.h_before[u] - n);
  }
}

inline void elman_forward(const GateRow& r) {
#pragma GCC ivdep
  for (std::ptrdiff_t u = r.begin; u < r.end; ++u) r.h[u] = std::tanh(r.a[u] + r.rh[u]);
}

/// The same, backward: `gates` as forward left them.
struct GateRowBackward {
  std::ptrdiff_t H = 0, begin = 0, end = 0;
  const float* gates = nullptr;
  const float* rh = nullptr;        // GRU
  const float* h_before = nullptr;  // GRU
  const float* c_before = nullptr;  // LSTM
  const float* tanh_c = nullptr;    // LSTM
  const float* h = nullptr;         // Elman
  const float* dy = nullptr;        // [H] the gradient by this step's output
  const float* dh = nullptr;        // [H] and through the next step
  float* dc = nullptr;              // [H] LSTM: in and out
  float* dh_direct = nullptr;       // [H] GRU: what reaches h_before beside the product
  float* da = nullptr;              // [G*H] by w_ih x
  float* drh = nullptr;             // [G*H] by w_hh h, GRU
};

inline void lstm_backward(const GateRowBackward& r) {
  const std::ptrdiff_t H = r.H;
#pragma GCC ivdep
  for (std::ptrdiff_t u = r.begin; u < r.end; ++u) {
    const float i = r.gates[u], f = r.gates[H + u], g = r.gates[2 * H + u], o = r.gates[3 * H + u];
    const float t = r.tanh_c[u], dh = r.dy[u] + r.dh[u], dc = r.dc[u] + dh * o * (1.f - t * t);
    r.da[u] = dc * g * i * (1.f - i);
    r.da[H + u] = dc * r.c_before[u] * f * (1.f - f);
    r.da[2 * H + u] = dc * i * (1.f - g * g);
    r.da[3 * H + u] = dh * t * o * (1.f - o);
    r.dc[u] = dc * f;
  }
}

inline void gru_backward(const GateRowBackward& q) {
  const std::ptrdiff_t H = q.H;
#pragma GCC ivdep
  for (std::ptrdiff_t u = q.begin; u < q.end; ++u) {
    const float r = q.gates[u], z = q.gates[H + u], n = q.gates[2 * H + u], dh = q.dy[u] + q.dh[u];
    const float dn = dh * (1.f - z) * (1.f - n * n), dr = dn * q.rh[2 * H + u] * r * (1.f - r);
    const float dz = dh * (q.h_before[u] - n) * z * (1.f - z);
    q.da[u] = dr, q.da[H + u] = dz, q.da[2 * H + u] = dn;
    q.drh[u] = dr, q.drh[H + u] = dz, q.drh[2 * H + u] = dn * r;
    q.dh_direct[u] = dh * z;
  }
}

inline void elman_backward(const GateRowBackward& r) {
#pragma GCC ivdep
  for (std::ptrdiff_t u = r.begin; u < r.end; ++u) r.da[u] = (r.dy[u] + r.dh[u]) * (1.f - r.h[u] * r.h[u]);
}

}  // namespace seqgpu::benchmark
