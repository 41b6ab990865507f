#include "device/cuda/blas.hpp"
#include "device/cuda/recurrent_frame.hpp"

// Forward: gates side by side, one product for the inputs of all steps, the scan.
namespace seqgpu::device::cuda {

namespace {

struct ForwardMemory {
  ForwardMemory(const op::RecurrentDesc& desc, const ScanStrategy& strategy, const Limits& limits, void* block)
      : z(desc) {
    if (z.empty()) return;
    Carver carver{static_cast<std::byte*>(block)};
    shared = ScanMemory::take(carver, z);
    b_ih = carver.floats(z.H * z.G);
    b_hh = carver.floats(z.H * z.G);
    wx = carver.floats(z.rows * z.H * z.G);
    strategy_memory =
        carver.take<std::byte>(static_cast<std::int64_t>(strategy.workspace_bytes(desc, Pass::forward, limits)));
    bytes = carver.used;
  }

  LayerSizes z;
  ScanMemory shared;
  float *b_ih = nullptr, *b_hh = nullptr, *wx = nullptr;
  std::byte* strategy_memory = nullptr;
  std::size_t bytes = 0;
};

/// Outputs of a layer without a step: final states are the initial ones.
void run_empty(const LayerSizes& z, const Arguments& a, const Queue& queue) {
  copy_or_clear(output(a, op::kOutY), nullptr, z.rows * z.R, queue);
  for (int s = 0; s < z.S; ++s)
    copy_or_clear(output(a, op::kOutFinal0 + s), input(a, op::kInState0 + s), z.N * z.width(s), queue);
}

/// Enqueues all that comes before the scan.
kernels::ScanForward prepare(const op::RecurrentDesc& desc, const ForwardMemory& m, const Arguments& a) {
  const Queue& queue = queue_of(a);
  const LayerSizes& z = m.z;
  kernels::ScanForward scan;
  prepare_scan(desc, a, m.shared, scan);
  scan.b_ih = interleave(input(a, op::kInBih), z.G, z.H, 1, m.b_ih, queue);
  scan.b_hh = interleave(input(a, op::kInBhh), z.G, z.H, 1, m.b_hh, queue);
  scan.wx = m.wx;
  gemm(queue, {.m = z.rows,
               .n = z.H * z.G,
               .k = z.I,
               .a = input(a, op::kInX),
               .a_row = z.I,
               .b = interleave(input(a, op::kInWih), z.G, z.H, z.I, m.shared.w_ih, queue),
               .b_row = z.I,
               .b_transposed = true,
               .c = m.wx,
               .c_row = z.H * z.G,
               .precision = desc.precision});
  if (desc.projection) scan.projection_bias = input(a, op::kInProjB);
  scan.y = output(a, op::kOutY);
  for (int s = 0; s < z.S; ++s) {
    scan.initial[s] = input(a, op::kInState0 + s);
    scan.final[s] = output(a, op::kOutFinal0 + s);
    if (s > 0) scan.states[s - 1] = output(a, op::kOutStates0 + s - 1);
  }
  if (desc.training) scan.reserve = lay_out_reserve(desc, a.outputs[op::kOutReserve]).reserve;
  return scan;
}

}  // namespace

std::size_t recurrent_workspace(const op::RecurrentForwardDesc& desc, const ScanStrategy& strategy,
                                const Limits& limits) {
  return ForwardMemory(desc, strategy, limits, nullptr).bytes;
}

void recurrent(const op::RecurrentForwardDesc& desc, const ScanStrategy& strategy, const Arguments& a) {
  const Queue& queue = queue_of(a);
  const ForwardMemory m(desc, strategy, *queue.limits, a.workspace);
  if (m.z.empty()) return run_empty(m.z, a, queue);
  strategy.forward(prepare(desc, m, a), m.strategy_memory, queue);
}

void recurrent_pair(const op::RecurrentForwardDesc (&descs)[2], const ScanStrategy& strategy, const Arguments (&a)[2]) {
  const Queue& queue = queue_of(a[0]);
  const ForwardMemory m[] = {{descs[0], strategy, *queue.limits, a[0].workspace},
                             {descs[1], strategy, *queue.limits, a[1].workspace}};
  const kernels::ScanForward scans[] = {prepare(descs[0], m[0], a[0]), prepare(descs[1], m[1], a[1])};
  strategy.forward_pair(scans, {m[0].strategy_memory, m[1].strategy_memory}, queue);
}

}  // namespace seqgpu::device::cuda
