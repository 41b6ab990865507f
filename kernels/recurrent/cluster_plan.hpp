#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "kernels/cells/all_cells.hpp"
#include "seqgpu/cell.hpp"

// How `cluster-persistent` lays a layer out on the chip, as pure functions of the shape and the device's limits.
//
// H is padded to one of a few sizes; a block owns 32 units, so a layer takes 1, 2, 4, 8 or 16 blocks: one cluster. The
// recurrent weights of its units lie in a block's registers for the whole sequence. A cluster serves a tile of up to 8
// sequences; N sequences make N / tile clusters. Blocks, and with them the order of every sum, depend on H alone: a
// sequence's result depends neither on N nor on its neighbours.
namespace seqgpu::kernels {

inline constexpr int kClusterUnits = 32;      // of a block; one per lane
inline constexpr int kClusterTile = 8;        // sequences of a cluster at most; one per warp
inline constexpr int kClusterThreads = 256;   // of a block
inline constexpr int kClusterBlocks = 16;     // of a cluster at most; above 8 needs the device's consent
inline constexpr int kWeightRegisters = 128;  // of a thread's 255; the rest is for sums, states and addresses

struct ClusterShape {
  CellKind cell = CellKind::lstm;
  Precision precision = Precision::f32;
  std::int64_t N = 0, H = 0;
  bool projection = false, zoneout = false;
  int directions = 1;  // in one launch
};

struct ClusterLimits {
  int compute_capability = 0;  // 90 for 9.0
  int multiprocessors = 0;
  int cluster_blocks = 0;  // the largest cluster
  std::int64_t shared_bytes_per_block = 0;
  std::int64_t registers_per_multiprocessor = 0;
};

struct ClusterPlan {
  std::string refusal;       // empty: yes
  Precision precision = {};  // of the product: f32 or bf16
  int padded_H = 0;
  int blocks = 0;            // of a cluster
  int threads = 0;           // of a block
  int tile = 0;              // sequences of a cluster
  int weight_registers = 0;  // of a thread
  std::int64_t forward_shared_bytes = 0, backward_shared_bytes = 0;
};

/// H with its padding; 0 where no cluster is large enough.
constexpr int cluster_padded(std::int64_t H) {
  for (int blocks = 1; blocks <= kClusterBlocks; blocks *= 2)
    if (H <= blocks * kClusterUnits) return blocks * kClusterUnits;
  return 0;
}

constexpr int cluster_element_bytes(Precision precision) { return precision == Precision::bf16 ? 2 : 4; }

/// A thread's share of one block's weights.
constexpr int cluster_weight_registers(Precision precision, int gates, int padded_H) {
  return kClusterUnits * gates * padded_H * cluster_element_bytes(precision) / 4 / kClusterThreads;
}

/// Parts that the forward product of one gate is summed from. bf16: warps split k, at least 32 each.
constexpr int cluster_forward_parts(Precision precision, int padded_H) {
  return precision == Precision::bf16 ? std::min(4, padded_H / 32) : 1;
}

/// Floats from one gate to the next, and from one sequence to the next, in a block's partial sums: padded so that the
/// writes of a warp in the bf16 product, of 8 units and every second sequence, meet 32 banks of shared memory.
inline constexpr int kClusterGateStride = kClusterUnits + 4;
constexpr int cluster_sequence_stride(int gates) {
  const int stride = gates * kClusterGateStride;
  return stride % 16 == 4 || stride % 16 == 12 ? stride : stride + 4;
}

/// Two buffers each of the tile's hidden state and of the partial sums, and two barriers.
constexpr std::int64_t cluster_forward_shared(Precision precision, int gates, int padded_H) {
  return 2 * kClusterTile * padded_H * cluster_element_bytes(precision) +
         8 * cluster_forward_parts(precision, padded_H) * kClusterTile * cluster_sequence_stride(gates) + 16;
}

/// Two buffers each of d rh of the block's units and of what its peers send for d h, and two barriers.
constexpr std::int64_t cluster_backward_shared(Precision precision, int gates, int padded_H) {
  return 2 * kClusterTile * kClusterUnits * gates * cluster_element_bytes(precision) + 8 * kClusterTile * padded_H + 16;
}

/// 2097152 -> "2.1 MB"
inline std::string cluster_megabytes(std::int64_t bytes) {
  const std::int64_t tenths = (bytes + 50'000) / 100'000;
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

/// Does it fit, and how; else `refusal` says why not, with numbers.
inline ClusterPlan plan_cluster(const ClusterShape& shape, const ClusterLimits& limits) {
  ClusterPlan plan;
  const auto refuse = [&](const std::string& why) {
    plan.refusal = why;
    return plan;
  };
  const cells::CellTraits cell = cells::traits_of(shape.cell);
  const int capability = limits.compute_capability;
  if (capability < 90)
    return refuse("compute capability " + std::to_string(capability / 10) + "." + std::to_string(capability % 10) +
                  " has no clusters");
  if (cell.two_phase) return refuse(std::string(cell.name) + " needs two products a step");
  if (shape.projection) return refuse("a projection is a second product a step");
  if (shape.zoneout) return refuse("zoneout is left to stepwise");

  plan.precision = shape.precision == Precision::bf16 ? Precision::bf16 : Precision::f32;
  plan.threads = kClusterThreads;
  plan.padded_H = cluster_padded(shape.H);
  plan.blocks = plan.padded_H / kClusterUnits;
  plan.weight_registers = cluster_weight_registers(plan.precision, cell.gates, plan.padded_H);
  const std::string H = "H=" + std::to_string(shape.H);
  if (plan.padded_H == 0 || plan.weight_registers > kWeightRegisters) {
    const auto bytes = [&](std::int64_t h) { return h * h * cell.gates * cluster_element_bytes(plan.precision); };
    const std::int64_t held = std::int64_t{4} * kWeightRegisters * kClusterThreads * kClusterBlocks;
    if (plan.padded_H == 0 && bytes(shape.H) <= held)
      return refuse(H + " needs " + std::to_string((shape.H + kClusterUnits - 1) / kClusterUnits) + " blocks of " +
                    std::to_string(kClusterUnits) + " units, a cluster has at most " + std::to_string(kClusterBlocks));
    const bool by_padding = bytes(shape.H) <= held;
    return refuse(H + " in " + to_string(plan.precision) + " needs " +
                  cluster_megabytes(bytes(by_padding ? plan.padded_H : shape.H)) +
                  (by_padding ? " padded to " + std::to_string(plan.padded_H) : "") + ", a cluster of " +
                  std::to_string(kClusterBlocks) + " holds " + cluster_megabytes(held));
  }
  if (plan.blocks > limits.cluster_blocks)
    return refuse(H + " needs a cluster of " + std::to_string(plan.blocks) + ", the device allows " +
                  std::to_string(limits.cluster_blocks));
  if (plan.blocks > limits.multiprocessors)
    return refuse(H + " needs " + std::to_string(plan.blocks) + " multiprocessors, the device has " +
                  std::to_string(limits.multiprocessors));
  const std::int64_t registers = std::int64_t{256} * kClusterThreads;
  if (limits.registers_per_multiprocessor < registers)
    return refuse("a block needs " + std::to_string(registers) + " registers, a multiprocessor has " +
                  std::to_string(limits.registers_per_multiprocessor));
  plan.forward_shared_bytes = cluster_forward_shared(plan.precision, cell.gates, plan.padded_H);
  plan.backward_shared_bytes = cluster_backward_shared(plan.precision, cell.gates, plan.padded_H);
  const std::int64_t shared = std::max(plan.forward_shared_bytes, plan.backward_shared_bytes);
  if (shared > limits.shared_bytes_per_block)
    return refuse("a block needs " + std::to_string(shared) + " bytes of shared memory, the device allows " +
                  std::to_string(limits.shared_bytes_per_block));

  // Few sequences spread over all clusters that can run at once: the product's and the exchange's time grow with the
  // tile. Many fill their tiles, and clusters queue.
  const std::int64_t resident = std::max(1, limits.multiprocessors / plan.blocks);
  const std::int64_t sequences = shape.N * std::max(1, shape.directions);
  plan.tile = static_cast<int>(std::clamp<std::int64_t>((sequences + resident - 1) / resident, 1, kClusterTile));
  return plan;
}

}  // namespace seqgpu::kernels
