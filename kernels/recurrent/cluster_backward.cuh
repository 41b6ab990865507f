#pragma once

#include "kernels/recurrent/cluster_bf16_product.cuh"
#include "kernels/recurrent/cluster_f32_product.cuh"
#include "kernels/recurrent/cluster_instances.hpp"
#include "kernels/recurrent/cluster_tile.cuh"

// The backward scan of a recurrent layer, for any one-phase cell, in one launch: d wx and d rh of every step, from
// which the frame's products make the gradients of weights and input.
//   work      grid and ownership as in cluster_forward.cuh. One step, from the last to the first: wait for d h from all
//             blocks; cells, one a thread; barrier; product of the block's d rh with the same weight rows as in
//             forward, which gives a part of d h for every unit of the layer; push each part to the block that owns the
//             unit.
//   exchange  f32 parts by st.async onto the receiver's transaction barrier. The owner adds them in the order of ranks:
//             no atomics, and the same sum whatever arrives first.
//   memory    per step and cell reads what forward saved and d y, writes d wx, and d rh where it differs.
//   hazards   `d_rh` has two buffers: the barrier of step s-1 lies between the product's reads of step s and the cells'
//             writes of step s-2. `received` has two: a peer sends what step s-2 needs after it has all of what step
//             s-1 needs, of which this block sent its share behind its barrier, so after its reads of the same buffer
//             in step s. A block leaves when it has all that peers send it.
//   limits    plan_cluster(); H below 2^31 / G and a length below 2^31.
namespace seqgpu::kernels {

template <class Product>
struct ClusterBackwardShared {
  alignas(16) typename Product::Element d_rh[2][kClusterTile * Product::kGates * kClusterUnits];
  alignas(16) float received[2][Product::kBlocks * kClusterTile * kClusterUnits];
  std::uint64_t full[2];
};

/// One cell's inputs and gradients: unit `lane` of sequence `warp`.
template <class Cell>
struct ClusterCellBackward {
  static constexpr int G = Cell::kGates, S = Cell::kStates, P = Cell::kUnitParameters;

  cells::Regs<float, S> d_states;  // after the coming step; without what the product gives
  cells::Regs<float, P> unit, d_unit;
  float factor = 1.f;  // of what entered the product

  // Of the coming step, loaded early.
  cells::Regs<float, S> previous, d_given;
  cells::Regs<float, Cell::kSaved> saved;

  __device__ ClusterCellBackward(const ScanBackward& p, const ClusterThread& me) {
    for (int s = 0; s < S; ++s) d_states[s] = 0.f;
    for (int i = 0; i < P; ++i) unit[i] = d_unit[i] = 0.f;
    if (!me.owns) return;
    for (int s = 0; s < S; ++s)
      if (p.d_final[s]) d_states[s] = p.d_final[s][me.sequence * p.H + me.unit];
    for (int i = 0; i < P; ++i)
      if (p.unit) unit[i] = p.unit[i * p.H + me.unit];
    if (p.mask) factor = p.mask[me.sequence * p.H + me.unit];
  }

  __device__ void load(const ScanBackward& p, const ClusterThread& me, std::int64_t row) {
    const std::int64_t at = row * p.H + me.unit;
    for (int s = 0; s < S; ++s) previous[s] = p.reserve.previous[s] ? p.reserve.previous[s][at] : 0.f;
    for (int i = 0; i < Cell::kSaved; ++i) saved[i] = p.reserve.saved[(row * Cell::kSaved + i) * p.H + me.unit];
    d_given[0] = p.d_y ? p.d_y[at] : 0.f;
    for (int s = 1; s < S; ++s) d_given[s] = p.d_states[s - 1] ? p.d_states[s - 1][at] : 0.f;
  }

  /// @return d rh
  __device__ cells::Regs<float, G> step(const ScanBackward& p, const ClusterThread& me, std::int64_t row, bool reset) {
    for (int s = 0; s < S; ++s) d_states[s] += d_given[s];
    const auto d = Cell::backward(p.options, saved, previous, unit, d_states);
    const std::int64_t at = (row * p.H + me.unit) * G;
    cells::Regs<float, G> d_rh;
    for (int g = 0; g < G; ++g) {
      p.d_wx[at + g] = d.wx[g];
      if constexpr (Cell::kSplitGradient) {
        p.d_rh[at + g] = d_rh[g] = d.rh[g];
      } else {
        d_rh[g] = d.wx[g];
      }
    }
    for (int i = 0; i < P; ++i) d_unit[i] += d.unit[i];
    for (int s = 0; s < S; ++s) d_states[s] = reset ? 0.f : d.prev[s];
    return d_rh;
  }

  /// Rows past the length, and the gradients of what preceded the first step.
  __device__ void finish(const ScanBackward& p, const ClusterThread& me) const {
    cluster_zero_rows(p, me, p.d_wx, me.unit * G, G, 1, p.H * G);
    if (Cell::kSplitGradient) cluster_zero_rows(p, me, p.d_rh, me.unit * G, G, 1, p.H * G);
    if (!me.owns) return;
    for (int s = 0; s < S; ++s)
      if (p.d_initial[s]) p.d_initial[s][me.sequence * p.H + me.unit] = d_states[s];
    for (int i = 0; i < P; ++i)
      if (p.d_unit) p.d_unit[(me.sequence * P + i) * p.H + me.unit] = d_unit[i];
  }
};

/// This cell's d h out of all blocks' parts.
template <class Product>
__device__ float cluster_received(const float* received, const ClusterThread& me) {
  float sum = 0.f;
  const int at = Product::received_index(me.warp, me.lane);
#pragma unroll
  for (int block = 0; block < Product::kBlocks; ++block) sum += received[block * kClusterTile * kClusterUnits + at];
  return sum;
}

template <class Cell, class Product>
__global__ void __launch_bounds__(kClusterThreads, 1)
    cluster_backward_kernel(const __grid_constant__ ClusterScans<ScanBackward> scans) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  constexpr int G = Cell::kGates;
  auto& shared = *dynamic_shared<ClusterBackwardShared<Product>>();
  const ScanBackward& p = scans.scan[blockIdx.y];
  const ClusterThread me(p, scans.tile);
  Product product(p.w_hh, p.H, me.rank);
  ClusterCellBackward<Cell> cell(p, me);
  for (int i = static_cast<int>(threadIdx.x); i < 2 * kClusterTile * G * kClusterUnits; i += kClusterThreads)
    shared.d_rh[i / (kClusterTile * G * kClusterUnits)][i % (kClusterTile * G * kClusterUnits)] = Product::element(0.f);
  std::uint64_t* const full = shared.full;
  start_cluster_barriers(shared.full);

  const unsigned bytes = Product::received_bytes(me.count);
  bool linked = false;  // the step after this one handed d h on: it was one of this sequence, without a reset
  for (int turn = 0; turn < me.longest; ++turn) {
    const int step = me.longest - 1 - turn, now = turn & 1, next = now ^ 1;
    const bool active = me.owns && step < me.length, reset = me.is_reset(p, step);
    const std::int64_t row = me.row(p, step);
    if (active) cell.load(p, me, row);  // before the wait, which hides the latency
    if (threadIdx.x == 0) mbarrier_arrive_expect_tx(&full[next], bytes);
    if (turn > 0) mbarrier_wait_parity(&full[now], ((turn - 1) >> 1) & 1);

    if (linked) cell.d_states[0] += cell.factor * cluster_received<Product>(shared.received[now], me);
    if (active) {
      const auto d_rh = cell.step(p, me, row, reset);
      for (int g = 0; g < G; ++g) shared.d_rh[now][Product::index(me.warp, g, me.lane)] = Product::element(d_rh[g]);
    }
    linked = active && !reset;
    __syncthreads();
    product.push(shared.d_rh[now], shared.received[next], &full[next], me.count, me.rank);
  }
  if (me.longest > 0) mbarrier_wait_parity(&full[me.longest & 1], ((me.longest - 1) >> 1) & 1);
  if (linked) cell.d_states[0] += cell.factor * cluster_received<Product>(shared.received[me.longest & 1], me);
  cell.finish(p, me);
#else
  __trap();
#endif
}

template <Precision precision, int gates, int padded>
using ClusterBackwardProduct =
    std::conditional_t<precision == Precision::bf16, ClusterBf16BackwardProduct<gates, padded>,
                       ClusterF32BackwardProduct<gates, padded>>;

template <class Cell, Precision precision>
void launch_cluster_backward(const ScanBackward* scans, int count, const ClusterPlan& plan, cudaStream_t stream) {
  if constexpr (Cell::kTwoPhase) {
    throw std::logic_error("cluster-persistent: this cell has two phases");
  } else {
    with_padded_size<precision, Cell::kGates>(plan, [&](auto padded) {
      using Product = ClusterBackwardProduct<precision, Cell::kGates, padded()>;
      static_assert(sizeof(ClusterBackwardShared<Product>) ==
                    cluster_backward_shared(precision, Cell::kGates, padded()));
      launch_clusters(cluster_backward_kernel<Cell, Product>, scans, count, plan, plan.backward_shared_bytes, stream);
    });
  }
}

template <class Cell, Precision precision>
int count_cluster_backward(const ClusterPlan& plan) {
  int clusters = 0;
  if constexpr (Cell::kTwoPhase) {
    throw std::logic_error("cluster-persistent: this cell has two phases");
  } else {
    with_padded_size<precision, Cell::kGates>(plan, [&](auto padded) {
      clusters =
          clusters_at_once(cluster_backward_kernel<Cell, ClusterBackwardProduct<precision, Cell::kGates, padded()>>,
                           cluster_shape(plan, 1, 1, plan.backward_shared_bytes, nullptr));
    });
  }
  return clusters;
}

}  // namespace seqgpu::kernels
