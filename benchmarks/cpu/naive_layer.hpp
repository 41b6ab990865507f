#pragma once

#include <cstddef>
#include <vector>

#include "benchmarks/support/workload.hpp"

// One layer in one direction: plain loops over OpenBLAS's products and vectorised gates.
namespace seqgpu::benchmark {

/// Products and time steps on OpenMP threads, each of which calls a single-threaded OpenBLAS: a batch is split by
/// sequences, so that a step waits for nobody; one sequence alone is split by units, with a barrier a step.
class NaiveLayer {
 public:
  /// @param suffix  "_l0", "_l1_reverse"
  NaiveLayer(const Workload& w, int layer, bool reverse, int threads, const std::string& suffix);

  /// y of this direction into columns [offset, offset + H) of y [T, N, stride].
  void forward(const float* x, float* y, std::ptrdiff_t stride, std::ptrdiff_t offset);
  /// From dy [T, N, stride] to the gradients of the weights, and dx += or =.
  void backward(const float* x, const float* dy, std::ptrdiff_t stride, std::ptrdiff_t offset, float* dx,
                bool accumulate);

  std::vector<float> d_w_ih, d_w_hh, d_b_ih, d_b_hh;

 private:
  struct Part {  // of one thread: sequences and units
    std::ptrdiff_t n0, n1, u0, u1;
    bool alone;
  };
  Part part(int thread) const;
  void step_forward(std::ptrdiff_t s, const Part& p);
  void step_backward(std::ptrdiff_t s, const Part& p, const float* dy, std::ptrdiff_t stride);
  void bias_gradients();
  std::ptrdiff_t time(std::ptrdiff_t s) const { return reverse_ ? T - 1 - s : s; }
  // Where h_ and c_ hold the states that time step t reads and writes: in the order of time, in both directions.
  std::ptrdiff_t before_step(std::ptrdiff_t t) const { return reverse_ ? t + 1 : t; }
  std::ptrdiff_t after_step(std::ptrdiff_t t) const { return reverse_ ? t : t + 1; }

  const Workload w_;
  const std::ptrdiff_t T, N, I, H, G;
  const bool reverse_, gru_, lstm_;
  const int threads_;
  std::vector<std::int32_t> lengths_;
  std::vector<float> w_ih_, w_hh_, b_ih_, b_hh_;
  // By time step; h_ and c_ have one more, for the initial state.
  std::vector<float> gates_, rh_, h_, c_, tanh_c_, da_, drh_, dh_, dc_, dh_direct_, zero_;
};

}  // namespace seqgpu::benchmark
