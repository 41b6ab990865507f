#include "device/cuda/ask_device.hpp"
#include "device/cuda/recurrent.hpp"
#include "kernels/recurrent/cluster_launch.hpp"

// Cluster-persistent: one launch for all steps, the recurrent weights in the registers of a thread-block cluster, the
// batch spread over clusters, h exchanged through distributed shared memory. sm_90 and newer.
namespace seqgpu::device::cuda {

namespace {

kernels::ClusterLimits limits_of(const Limits& limits) {
  return {.compute_capability = limits.compute_capability,
          .multiprocessors = limits.multiprocessors,
          .cluster_blocks = limits.cluster_blocks,
          .shared_bytes_per_block = limits.shared_bytes_per_block,
          .registers_per_multiprocessor = limits.registers_per_multiprocessor};
}

/// Where a device lays clusters, and what the compiler made of the kernel, only CUDA knows.
std::string check_resident(CellKind cell, Pass pass, const kernels::ClusterPlan& plan, const Limits& limits) {
  return ask_device(limits, [&]() -> std::string {
    const bool forward = pass == Pass::forward;
    const int clusters =
        forward ? kernels::cluster_forward_at_once(cell, plan) : kernels::cluster_backward_at_once(cell, plan);
    if (clusters > 0) return {};
    const std::int64_t shared = forward ? plan.forward_shared_bytes : plan.backward_shared_bytes;
    return "the device has no room for a cluster of " + std::to_string(plan.blocks) + " blocks of " +
           std::to_string(plan.threads) + " threads and " + std::to_string(shared) + " bytes of shared memory";
  });
}

std::string accepts(const op::RecurrentDesc& d, Pass pass, const Limits& limits) {
  const kernels::ClusterShape shape = {.cell = d.cell,
                                       .precision = d.precision,
                                       .N = d.N,
                                       .H = d.H,
                                       .projection = d.projection,
                                       .zoneout = d.zoneout_hidden > 0 || d.zoneout_cell > 0};
  const kernels::ClusterPlan plan = kernels::plan_cluster(shape, limits_of(limits));
  return plan.refusal.empty() ? check_resident(d.cell, pass, plan, limits) : plan.refusal;
}

std::size_t workspace_bytes(const op::RecurrentDesc&, Pass, const Limits&) { return 0; }

kernels::ClusterPlan plan_of(const kernels::Scan& p, int directions, const Queue& queue) {
  return kernels::plan_cluster({.cell = p.cell, .precision = p.precision, .N = p.N, .H = p.H, .directions = directions},
                               limits_of(*queue.limits));
}

void forward(const kernels::ScanForward& p, void*, const Queue& queue) {
  kernels::cluster_forward(&p, 1, plan_of(p, 1, queue), queue.stream);
}

void backward(const kernels::ScanBackward& p, void*, const Queue& queue) {
  kernels::cluster_backward(&p, 1, plan_of(p, 1, queue), queue.stream);
}

void forward_pair(const kernels::ScanForward (&p)[2], void* const (&)[2], const Queue& queue) {
  kernels::cluster_forward(p, 2, plan_of(p[0], 2, queue), queue.stream);
}

void backward_pair(const kernels::ScanBackward (&p)[2], void* const (&)[2], const Queue& queue) {
  kernels::cluster_backward(p, 2, plan_of(p[0], 2, queue), queue.stream);
}

}  // namespace

const ScanStrategy kClusterPersistent = {"cluster-persistent", accepts,      workspace_bytes, forward, backward,
                                         forward_pair,         backward_pair};

}  // namespace seqgpu::device::cuda
