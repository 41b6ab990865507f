#include "naive_layer.hpp"

#include <cblas.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "benchmarks/support/gates.hpp"

namespace seqgpu::benchmark {
namespace {

/// Row-major C [m, n] = A B + beta C, on this thread alone.
void product(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k,
             const float* a, std::ptrdiff_t lda, const float* b, std::ptrdiff_t ldb, float beta, float* c,
             std::ptrdiff_t ldc) {
  if (m <= 0 || n <= 0) return;
  cblas_sgemm(CblasRowMajor, ta, tb, static_cast<blasint>(m), static_cast<blasint>(n), static_cast<blasint>(k), 1.f, a,
              static_cast<blasint>(lda), b, static_cast<blasint>(ldb), beta, c, static_cast<blasint>(ldc));
}

/// body(begin, end) over [0, count), a contiguous share for each thread.
template <class Body>
void shared_out(std::ptrdiff_t count, int threads, Body&& body) {
#pragma omp parallel num_threads(threads)
  {
    const std::ptrdiff_t t = omp_get_thread_num();
    body(count * t / threads, count * (t + 1) / threads);
  }
}

}  // namespace

NaiveLayer::NaiveLayer(const Workload& w, int layer, bool reverse, int threads, const std::string& suffix)
    : w_(w),
      T(w.T),
      N(w.N),
      I(w.inputs(layer)),
      H(w.H),
      G(w.gates()),
      reverse_(reverse),
      gru_(w.cell == "gru"),
      lstm_(w.cell == "lstm"),
      threads_(threads),
      lengths_(w.lengths()) {
  const auto size = [](std::ptrdiff_t n) { return static_cast<std::size_t>(n); };
  const float scale = 1.f / std::sqrt(static_cast<float>(H));
  w_ih_ = random_values("rnn.weight_ih" + suffix, size(G * H * I), scale);
  w_hh_ = random_values("rnn.weight_hh" + suffix, size(G * H * H), scale);
  b_ih_ = random_values("rnn.bias_ih" + suffix, size(G * H), scale);
  b_hh_ = random_values("rnn.bias_hh" + suffix, size(G * H), scale);
  for (std::size_t i = 0; !gru_ && i < b_ih_.size(); ++i) b_ih_[i] += b_hh_[i];
  const std::ptrdiff_t kept = w.training ? T : 1;  // steps of what only backward reads
  gates_.resize(size(T * N * G * H));
  rh_.resize(size((gru_ ? kept : 1) * N * G * H));
  h_.resize(size((T + 1) * N * H));
  if (lstm_) {
    c_.resize(size((kept + 1) * N * H));
    tanh_c_.resize(size(kept * N * H));
  }
  zero_.resize(size(H));
  if (!w.training) return;
  if (gru_) drh_.resize(size(T * N * G * H)), dh_direct_.resize(size(N * H));
  da_.resize(size(T * N * G * H));
  dh_.resize(size(N * H)), dc_.resize(size(N * H));
  d_w_ih.resize(w_ih_.size()), d_w_hh.resize(w_hh_.size()), d_b_ih.resize(b_ih_.size()), d_b_hh.resize(b_hh_.size());
}

NaiveLayer::Part NaiveLayer::part(int thread) const {
  if (N == 1) return {0, 1, H * thread / threads_, H * (thread + 1) / threads_, false};
  return {N * thread / threads_, N * (thread + 1) / threads_, 0, H, true};
}

void NaiveLayer::step_forward(std::ptrdiff_t s, const Part& p) {
  const std::ptrdiff_t t = time(s), kept = w_.training ? s : 0, GH = G * H;
  float* rh = rh_.data() + (gru_ ? kept : 0) * N * GH;
  const float* before = h_.data() + before_step(t) * N * H;
  float beta = 0.f;
  if (gru_) {
    beta = 1.f;
    for (std::ptrdiff_t n = p.n0; n < p.n1; ++n) {
      for (std::ptrdiff_t g = 0; g < G; ++g) {
        std::copy(b_hh_.data() + g * H + p.u0, b_hh_.data() + g * H + p.u1, rh + n * GH + g * H + p.u0);
      }
    }
  }
  if (p.alone) {
    product(CblasNoTrans, CblasTrans, p.n1 - p.n0, GH, H, before + p.n0 * H, H, w_hh_.data(), H, beta, rh + p.n0 * GH,
            GH);
  } else {
    for (std::ptrdiff_t g = 0; g < G; ++g) {
      cblas_sgemv(CblasRowMajor, CblasNoTrans, static_cast<blasint>(p.u1 - p.u0), static_cast<blasint>(H), 1.f,
                  w_hh_.data() + (g * H + p.u0) * H, static_cast<blasint>(H), before, 1, beta, rh + g * H + p.u0, 1);
    }
  }
  // In inference the cell state alternates between two steps' places.
  const std::ptrdiff_t from = w_.training ? before_step(t) : s % 2, to = w_.training ? after_step(t) : (s + 1) % 2;
  for (std::ptrdiff_t n = p.n0; n < p.n1; ++n) {
    GateRow row{H, p.u0, p.u1};
    row.a = gates_.data() + (t * N + n) * GH;
    row.rh = rh + n * GH;
    row.h_before = before + n * H;
    row.h = h_.data() + (after_step(t) * N + n) * H;
    if (lstm_) {
      row.c_before = c_.data() + (from * N + n) * H;
      row.c = c_.data() + (to * N + n) * H;
      row.tanh_c = tanh_c_.data() + (kept * N + n) * H;
    }
    if (t >= lengths_[static_cast<std::size_t>(n)]) {  // past the end, or before the start of the reverse direction
      std::fill(row.h + p.u0, row.h + p.u1, 0.f);
      if (lstm_) std::fill(row.c + p.u0, row.c + p.u1, 0.f);
      continue;
    }
    if (lstm_) {
      lstm_forward(row);
    } else if (gru_) {
      gru_forward(row);
    } else {
      elman_forward(row);
    }
  }
}

void NaiveLayer::forward(const float* x, float* y, std::ptrdiff_t stride, std::ptrdiff_t offset) {
  const std::ptrdiff_t GH = G * H;
  shared_out(T * N, threads_, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    for (std::ptrdiff_t row = begin; row < end; ++row) std::copy(b_ih_.begin(), b_ih_.end(), gates_.begin() + row * GH);
    product(CblasNoTrans, CblasTrans, end - begin, GH, I, x + begin * I, I, w_ih_.data(), I, 1.f,
            gates_.data() + begin * GH, GH);
  });
#pragma omp parallel num_threads(threads_)
  {
    const Part p = part(omp_get_thread_num());
    for (std::ptrdiff_t s = 0; s < T; ++s) {
      step_forward(s, p);
      for (std::ptrdiff_t n = p.n0; n < p.n1; ++n) {
        const float* h = h_.data() + (after_step(time(s)) * N + n) * H;
        std::copy(h + p.u0, h + p.u1, y + (time(s) * N + n) * stride + offset + p.u0);
      }
      if (!p.alone) {
#pragma omp barrier
      }
    }
  }
}

void NaiveLayer::step_backward(std::ptrdiff_t s, const Part& p, const float* dy, std::ptrdiff_t stride) {
  const std::ptrdiff_t t = time(s), GH = G * H;
  float* by_product = (gru_ ? drh_ : da_).data() + t * N * GH;
  for (std::ptrdiff_t n = p.n0; n < p.n1; ++n) {
    GateRowBackward row{H, p.u0, p.u1};
    const std::ptrdiff_t before = (before_step(t) * N + n) * H;
    row.gates = gates_.data() + (t * N + n) * GH;
    row.h_before = h_.data() + before;
    row.h = h_.data() + (after_step(t) * N + n) * H;
    if (lstm_) row.c_before = c_.data() + before, row.tanh_c = tanh_c_.data() + (s * N + n) * H;
    if (gru_) row.rh = rh_.data() + (s * N + n) * GH, row.drh = by_product + n * GH;
    row.dy = dy + (t * N + n) * stride;
    row.dh = dh_.data() + n * H;
    row.dc = dc_.data() + n * H;
    row.dh_direct = gru_ ? dh_direct_.data() + n * H : nullptr;
    row.da = da_.data() + (t * N + n) * GH;
    if (t >= lengths_[static_cast<std::size_t>(n)]) {
      for (std::ptrdiff_t g = 0; g < G; ++g) {
        std::fill(row.da + g * H + p.u0, row.da + g * H + p.u1, 0.f);
        if (gru_) std::fill(row.drh + g * H + p.u0, row.drh + g * H + p.u1, 0.f);
      }
      std::fill(row.dc + p.u0, row.dc + p.u1, 0.f);
      if (gru_) std::fill(row.dh_direct + p.u0, row.dh_direct + p.u1, 0.f);
    } else if (lstm_) {
      lstm_backward(row);
    } else if (gru_) {
      gru_backward(row);
    } else {
      elman_backward(row);
    }
  }
  if (p.alone) {
    if (gru_) std::copy(dh_direct_.begin() + p.n0 * H, dh_direct_.begin() + p.n1 * H, dh_.begin() + p.n0 * H);
    product(CblasNoTrans, CblasNoTrans, p.n1 - p.n0, H, GH, by_product + p.n0 * GH, GH, w_hh_.data(), H,
            gru_ ? 1.f : 0.f, dh_.data() + p.n0 * H, H);
    return;
  }
#pragma omp barrier
  if (gru_) std::copy(dh_direct_.begin() + p.u0, dh_direct_.begin() + p.u1, dh_.begin() + p.u0);
  cblas_sgemv(CblasRowMajor, CblasTrans, static_cast<blasint>(GH), static_cast<blasint>(p.u1 - p.u0), 1.f,
              w_hh_.data() + p.u0, static_cast<blasint>(H), by_product, 1, gru_ ? 1.f : 0.f, dh_.data() + p.u0, 1);
}

void NaiveLayer::bias_gradients() {
  const auto sum = [this](const std::vector<float>& rows, std::vector<float>& total) {
    std::fill(total.begin(), total.end(), 0.f);
    const std::ptrdiff_t GH = G * H;
    shared_out(GH, threads_, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
      for (std::ptrdiff_t row = 0; row < T * N; ++row) {
        const float* from = rows.data() + row * GH;
        float* to = total.data();
        for (std::ptrdiff_t j = begin; j < end; ++j) to[j] += from[j];
      }
    });
  };
  sum(da_, d_b_ih);
  if (gru_) {
    sum(drh_, d_b_hh);
  } else {
    d_b_hh = d_b_ih;
  }
}

void NaiveLayer::backward(const float* x, const float* dy, std::ptrdiff_t stride, std::ptrdiff_t offset, float* dx,
                          bool accumulate) {
  const std::ptrdiff_t GH = G * H;
  std::fill(dh_.begin(), dh_.end(), 0.f);
  std::fill(dc_.begin(), dc_.end(), 0.f);
#pragma omp parallel num_threads(threads_)
  {
    const Part p = part(omp_get_thread_num());
    for (std::ptrdiff_t s = T - 1; s >= 0; --s) step_backward(s, p, dy + offset, stride);
  }
  shared_out(T * N, threads_, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    product(CblasNoTrans, CblasNoTrans, end - begin, I, GH, da_.data() + begin * GH, GH, w_ih_.data(), I,
            accumulate ? 1.f : 0.f, dx + begin * I, I);
  });
  const std::vector<float>& by_product = gru_ ? drh_ : da_;
  const float* h_before = h_.data() + before_step(0) * N * H;
  shared_out(GH, threads_, [&](std::ptrdiff_t begin, std::ptrdiff_t end) {
    product(CblasTrans, CblasNoTrans, end - begin, I, T * N, da_.data() + begin, GH, x, I, 0.f,
            d_w_ih.data() + begin * I, I);
    product(CblasTrans, CblasNoTrans, end - begin, H, T * N, by_product.data() + begin, GH, h_before, H, 0.f,
            d_w_hh.data() + begin * H, H);
  });
  bias_gradients();
}

}  // namespace seqgpu::benchmark
