#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>

#include "kernels/block/ptx.cuh"
#include "kernels/recurrent/cluster_plan.hpp"
#include "kernels/recurrent/scan.hpp"

// What the forward and the backward kernel of `cluster-persistent` share: which sequence and unit a thread owns, and
// how a launch is made. Between products, warp w owns sequence w of the tile and lane l owns unit l of the block, so
// that a length or a reset is the same for a whole warp and a row of a tensor is read by neighbouring lanes.
namespace seqgpu::kernels {

template <class Scan>
struct ClusterScans {
  Scan scan[2];  // blockIdx.y picks
  int tile;      // sequences of a cluster
};

/// Makes the transaction barriers of the two buffers ready in all blocks. Each completes when its own block has said
/// how many bytes a buffer gets, and these have come. Also a barrier of the whole cluster.
__device__ inline void start_cluster_barriers(std::uint64_t (&full)[2]) {
  if (threadIdx.x == 0) {
    mbarrier_init(&full[0], 1);
    mbarrier_init(&full[1], 1);
    fence_mbarrier_init();
  }
  cluster_sync();
}

/// A thread's place in the cluster's tile.
struct ClusterThread {
  int lane, warp;
  unsigned rank;          // of the block in its cluster
  int count;              // sequences of this tile
  int longest;            // their longest length
  int length;             // of this warp's sequence; 0 if it has none
  bool owns;              // the unit and the sequence exist
  std::int64_t unit;      // of the layer
  std::int64_t first;     // sequence of this tile
  std::int64_t sequence;  // of this warp

  __device__ ClusterThread(const Scan& scan, int tile) {
    lane = static_cast<int>(threadIdx.x) % 32;
    warp = static_cast<int>(threadIdx.x) / 32;
    rank = cluster_rank();
    first = static_cast<std::int64_t>(cluster_id()) * tile;
    count = scan.N - first < tile ? static_cast<int>(scan.N - first) : tile;
    longest = 0;
    for (int n = 0; n < count; ++n) longest = max(longest, length_of(scan, n));
    length = warp < count ? length_of(scan, warp) : 0;
    unit = static_cast<std::int64_t>(rank) * kClusterUnits + lane;
    sequence = first + warp;
    owns = warp < count && unit < scan.H;
  }

  __device__ int length_of(const Scan& scan, int n) const {
    return scan.lengths ? scan.lengths[first + n] : static_cast<int>(scan.T);
  }
  /// Row of [T, N, .] of this warp's step.
  __device__ std::int64_t row(const Scan& scan, int step) const {
    const std::int64_t t = scan.reverse ? length - 1 - step : step;
    return t * scan.N + sequence;
  }
  /// Are the states cleared before this step?
  __device__ bool is_reset(const Scan& scan, int step) const {
    return scan.resets && step < length && scan.resets[row(scan, step)] != 0;
  }
};

/// Zero in all rows past this warp's length. Rows are `width` floats, of which this unit's stand `stride` apart.
__device__ inline void cluster_zero_rows(const Scan& scan, const ClusterThread& me, float* to, std::int64_t offset,
                                         int parts, std::int64_t stride, std::int64_t width) {
  if (!to || !me.owns) return;
  for (std::int64_t t = me.length; t < scan.T; ++t)
    for (int i = 0; i < parts; ++i) to[(t * scan.N + me.sequence) * width + offset + i * stride] = 0.f;
}

/// Of 8 neighbouring lanes each hands in 8 values; lane i gets the sum of all lanes' value i. The tree is the same for
/// every i.
__device__ inline float sum_over_8_lanes(float (&values)[8], int lane) {
#pragma unroll
  for (int half = 4; half > 0; half /= 2) {
    const bool upper = (lane & half) != 0;
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float mine = upper ? values[i + half] : values[i];
      const float theirs = upper ? values[i] : values[i + half];
      values[i] = mine + __shfl_xor_sync(0xffffffffu, theirs, half);
    }
  }
  return values[0];
}

inline LaunchShape cluster_shape(const ClusterPlan& plan, std::int64_t clusters, int directions,
                                 std::int64_t shared_bytes, cudaStream_t stream) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(clusters * plan.blocks), static_cast<unsigned>(directions));
  shape.block = dim3(kClusterThreads);
  shape.shared_bytes = static_cast<std::size_t>(shared_bytes);
  shape.stream = stream;
  shape.cluster = static_cast<unsigned>(plan.blocks);
  return shape;
}

/// One launch over all clusters and directions.
template <class Scan>
void launch_clusters(void (*kernel)(ClusterScans<Scan>), const Scan* scans, int count, const ClusterPlan& plan,
                     std::int64_t shared_bytes, cudaStream_t stream) {
  ClusterScans<Scan> arguments;
  for (int i = 0; i < count; ++i) arguments.scan[i] = scans[i];
  arguments.tile = plan.tile;
  const std::int64_t clusters = (scans[0].N + plan.tile - 1) / plan.tile;
  launch(kernel, cluster_shape(plan, clusters, count, shared_bytes, stream), arguments);
}

/// Calls run(std::integral_constant<int, padded H>) for the plan's size, if the weights fit.
template <Precision precision, int gates, class Run>
void with_padded_size(const ClusterPlan& plan, const Run& run) {
  const bool found = [&]<int... blocks>(std::integer_sequence<int, blocks...>) {
    const auto try_size = [&](auto size) {
      if constexpr (cluster_weight_registers(precision, gates, size()) <= kWeightRegisters) {
        if (plan.padded_H != size()) return false;
        run(size);
        return true;
      }
      return false;
    };
    return (try_size(std::integral_constant<int, kClusterUnits * blocks>{}) || ...);
  }
  (std::integer_sequence<int, 1, 2, 4, 8, 16>{});
  if (!found)
    throw std::logic_error("cluster-persistent: no kernel for padded H " + std::to_string(plan.padded_H) +
                           "; was the plan a refusal?");
}

}  // namespace seqgpu::kernels
