#include <algorithm>

#include "device/cuda/blas.hpp"
#include "device/cuda/recurrent_frame.hpp"

// Backward: the scan gives the gradient of every gate input; then one product per weight over the rows of all steps.
// Rows past a length are zero on the gradient's side of each.
namespace seqgpu::device::cuda {

namespace {

struct BackwardMemory {
  BackwardMemory(const op::RecurrentDesc& desc, const ScanStrategy& strategy, const Limits& limits, void* block)
      : z(desc) {
    if (z.empty()) return;
    Carver carver{static_cast<std::byte*>(block)};
    shared = ScanMemory::take(carver, z);
    const bool apart = z.cell.split_gradient || z.cell.two_phase;
    d_wx = carver.floats(z.rows * z.H * z.G);
    d_rh = apart ? carver.floats(z.rows * z.H * z.F) : d_wx;
    if (z.cell.two_phase) d_last = carver.floats(z.rows * z.H);
    if (desc.projection) d_projected = carver.floats(z.rows * z.R);
    if (z.P > 0) d_unit = carver.floats(z.N * z.P * z.H);
    // What the products need takes the place of what the scan needed.
    Carver products = carver;
    strategy_memory =
        carver.take<std::byte>(static_cast<std::int64_t>(strategy.workspace_bytes(desc, Pass::backward, limits)));
    x = products.floats(z.rows * z.I);
    d_weight = products.floats(z.G > 1 ? z.H * z.G * std::max(z.I, z.R) : 0);
    const std::int64_t parts = std::max(kernels::column_sum_parts(z.rows), kernels::column_sum_parts(z.N));
    partial = products.floats(parts * std::max({z.H * z.G, z.R, z.P * z.H}));
    bytes = std::max(carver.used, products.used);
  }

  LayerSizes z;
  ScanMemory shared;
  float *d_wx = nullptr, *d_rh = nullptr, *d_last = nullptr, *d_projected = nullptr, *d_unit = nullptr;
  std::byte* strategy_memory = nullptr;
  float *x = nullptr, *d_weight = nullptr, *partial = nullptr;
  std::size_t bytes = 0;
};

struct Backward {
  const op::RecurrentDesc& desc;
  const Arguments& a;
  const Queue& queue;
  const BackwardMemory& m;
  const LayerSizes& z;
  const kernels::ScanBackward& scan;

  /// c [m, n] = a^T b over all rows.
  void sum_outer(const float* a, std::int64_t m, const float* b, std::int64_t n, float* c) const {
    gemm(queue, {.m = m,
                 .n = n,
                 .k = z.rows,
                 .a = a,
                 .a_row = m,
                 .a_transposed = true,
                 .b = b,
                 .b_row = n,
                 .c = c,
                 .c_row = n,
                 .precision = desc.precision});
  }

  /// The same for interleaved gates: to [gates*H, columns].
  void weight(const float* d_gates, std::int64_t gates, const float* operand, std::int64_t columns, float* to) const {
    float* interleaved = gates == 1 ? to : m.d_weight;
    sum_outer(d_gates, z.H * gates, operand, columns, interleaved);
    if (interleaved != to)
      kernels::swap_axes({.from = interleaved, .to = to, .A = z.H, .B = gates, .C = columns}, queue.stream);
  }

  void columns(const float* from, std::int64_t rows, std::int64_t A, std::int64_t B, float* to) const {
    if (to) kernels::column_sums({from, to, m.partial, rows, A, B}, queue.stream);
  }

  void input_weight() const {
    float* to = output(a, op::kGradWih);
    if (!to) return;
    const float* x = input(a, op::kInX);
    if (scan.lengths) {  // 0 * NaN is NaN
      kernels::zero_padding({x, m.x, scan.lengths, z.T, z.N, z.I}, queue.stream);
      x = m.x;
    }
    weight(scan.d_wx, z.G, x, z.I, to);
  }

  void recurrent_weight() const {
    float* to = output(a, op::kGradWhh);
    if (!to) return;
    weight(scan.d_rh, z.F, scan.reserve.entering, z.R, to);
    if (scan.d_last) sum_outer(scan.d_last, z.H, scan.reserve.second, z.R, to + z.F * z.H * z.R);
  }

  void biases() const {
    float *ih = output(a, op::kGradBih), *hh = output(a, op::kGradBhh);
    columns(scan.d_wx, z.rows, z.H, z.G, ih);
    if (z.cell.split_gradient)
      columns(scan.d_rh, z.rows, z.H, z.G, hh);
    else if (ih)
      copy_or_clear(hh, ih, z.H * z.G, queue);
    else
      columns(scan.d_wx, z.rows, z.H, z.G, hh);
  }

  void projection() const {
    if (float* to = output(a, op::kGradProj)) sum_outer(scan.d_projected, z.R, scan.reserve.unprojected, z.H, to);
    columns(scan.d_projected, z.rows, z.R, 1, output(a, op::kGradProjB));
  }

  void x() const {
    float* to = output(a, op::kGradX);
    if (!to) return;
    gemm(queue, {.m = z.rows,
                 .n = z.I,
                 .k = z.H * z.G,
                 .a = scan.d_wx,
                 .a_row = z.H * z.G,
                 .b = interleave(input(a, op::kInWih), z.G, z.H, z.I, m.shared.w_ih, queue),
                 .b_row = z.I,
                 .c = to,
                 .c_row = z.I,
                 .precision = desc.precision});
  }
};

/// Gradients of a layer without a step.
void run_empty(const op::RecurrentDesc& desc, const LayerSizes& z, const Arguments& a, const Queue& queue) {
  const std::int64_t GH = z.G * z.H, sizes[] = {z.rows * z.I, GH * z.I,  GH * z.R,  GH,
                                                GH,           z.P * z.H, z.R * z.H, desc.projection ? z.R : 0};
  static_assert(std::size(sizes) == op::kGradState0);
  for (int i = 0; i < op::kGradState0; ++i) copy_or_clear(output(a, i), nullptr, sizes[i], queue);
  for (int s = 0; s < z.S; ++s)
    copy_or_clear(output(a, op::kGradState0 + s), input(a, op::kInDFinal0 + s), z.N * z.width(s), queue);
}

/// Enqueues all that comes before the scan.
kernels::ScanBackward prepare(const op::RecurrentDesc& desc, const BackwardMemory& m, const Arguments& a) {
  const LayerSizes& z = m.z;
  kernels::ScanBackward scan;
  prepare_scan(desc, a, m.shared, scan);
  scan.reserve = lay_out_reserve(desc, const_cast<void*>(a.inputs[op::kInReserve])).reserve;
  scan.d_y = input(a, op::kInDOutput);
  for (int s = 0; s < z.S; ++s) {
    scan.d_final[s] = input(a, op::kInDFinal0 + s);
    scan.d_initial[s] = output(a, op::kGradState0 + s);
    if (s > 0) scan.d_states[s - 1] = input(a, op::kInDStates0 + s - 1);
  }
  scan.d_wx = m.d_wx, scan.d_rh = m.d_rh, scan.d_last = m.d_last;
  scan.d_projected = m.d_projected, scan.d_unit = m.d_unit;
  return scan;
}

/// Enqueues all that comes after it.
void finish(const op::RecurrentDesc& desc, const BackwardMemory& m, const Arguments& a,
            const kernels::ScanBackward& scan) {
  const LayerSizes& z = m.z;
  const Backward rest{desc, a, queue_of(a), m, z, scan};
  rest.x();
  rest.input_weight();
  rest.recurrent_weight();
  rest.biases();
  if (scan.d_unit) rest.columns(scan.d_unit, z.N, z.P * z.H, 1, output(a, op::kGradUnit));
  if (desc.projection) rest.projection();
}

}  // namespace

std::size_t recurrent_workspace(const op::RecurrentBackwardDesc& desc, const ScanStrategy& strategy,
                                const Limits& limits) {
  return BackwardMemory(desc, strategy, limits, nullptr).bytes;
}

void recurrent(const op::RecurrentBackwardDesc& desc, const ScanStrategy& strategy, const Arguments& a) {
  const Queue& queue = queue_of(a);
  const BackwardMemory m(desc, strategy, *queue.limits, a.workspace);
  if (m.z.empty()) return run_empty(desc, m.z, a, queue);
  const kernels::ScanBackward scan = prepare(desc, m, a);
  strategy.backward(scan, m.strategy_memory, queue);
  finish(desc, m, a, scan);
}

void recurrent_pair(const op::RecurrentBackwardDesc (&descs)[2], const ScanStrategy& strategy,
                    const Arguments (&a)[2]) {
  const Queue& queue = queue_of(a[0]);
  const BackwardMemory m[] = {{descs[0], strategy, *queue.limits, a[0].workspace},
                              {descs[1], strategy, *queue.limits, a[1].workspace}};
  const kernels::ScanBackward scans[] = {prepare(descs[0], m[0], a[0]), prepare(descs[1], m[1], a[1])};
  strategy.backward_pair(scans, {m[0].strategy_memory, m[1].strategy_memory}, queue);
  finish(descs[0], m[0], a[0], scans[0]);
  finish(descs[1], m[1], a[1], scans[1]);
}

}  // namespace seqgpu::device::cuda
