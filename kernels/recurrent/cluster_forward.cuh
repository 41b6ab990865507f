#pragma once

#include "kernels/recurrent/cluster_bf16_product.cuh"
#include "kernels/recurrent/cluster_f32_product.cuh"
#include "kernels/recurrent/cluster_instances.hpp"
#include "kernels/recurrent/cluster_tile.cuh"

// A recurrent layer over all its steps, forward, for any one-phase cell, in one launch.
//   work      grid (clusters * blocks, directions). A block owns 32 units and keeps their weights in registers; its
//             cluster owns a tile of up to 8 sequences. One step: wait for the whole h; product with the block's rows;
//             barrier; cells, one a thread; push the new h to all blocks of the cluster.
//   exchange  h goes as 16-byte packets of neighbouring units by st.async, which counts its bytes off the receiver's
//             transaction barrier: data and signal are one, nothing in the loop waits for all threads of a cluster.
//   memory    per step and cell reads 4G bytes of wx, writes y and what backward needs; no weights, no h.
//   hazards   `hidden` has two buffers. A peer writes h[s+1] into the one that held h[s-1] only after it has all of
//   h[s],
//             and this block sent its share of h[s] after the barrier that ended its reading of h[s-1].
//             `partial` has two buffers as well: the barrier of step s+1 lies between the reads of step s and the
//             writes of step s+2. A block leaves when it has all that peers send it, so nobody writes to a block that
//             has gone. A cluster leaves the loop at the longest length of its own tile.
//   limits    plan_cluster(); H below 2^31 / G and a length below 2^31.
namespace seqgpu::kernels {

template <class Product>
struct ClusterForwardShared {
  alignas(16) typename Product::Element hidden[2][kClusterTile * Product::kPadded];
  alignas(16) float partial[2][Product::kParts * kClusterTile * cluster_sequence_stride(Product::kGates)];
  std::uint64_t full[2];
};

/// One cell's inputs, states and outputs: unit `lane` of sequence `warp`.
template <class Cell>
struct ClusterCellForward {
  static constexpr int G = Cell::kGates, S = Cell::kStates;

  cells::Regs<float, S> states;  // before the coming step, after its reset; in the end those after the last step
  cells::Regs<float, G> b_ih, b_hh;
  cells::Regs<float, Cell::kUnitParameters> unit;
  float factor = 1.f;  // of what enters the product

  __device__ ClusterCellForward(const ScanForward& p, const ClusterThread& me) {
    for (int s = 0; s < S; ++s) states[s] = 0.f;
    for (int g = 0; g < G; ++g) b_ih[g] = b_hh[g] = 0.f;
    for (int i = 0; i < Cell::kUnitParameters; ++i) unit[i] = 0.f;
    if (!me.owns) return;
    for (int s = 0; s < S; ++s)
      if (p.initial[s]) states[s] = p.initial[s][me.sequence * p.H + me.unit];
    if (me.is_reset(p, 0)) clear();
    for (int g = 0; g < G; ++g) b_ih[g] = p.b_ih[me.unit * G + g], b_hh[g] = p.b_hh[me.unit * G + g];
    for (int i = 0; i < Cell::kUnitParameters; ++i)
      if (p.unit) unit[i] = p.unit[i * p.H + me.unit];
    if (p.mask) factor = p.mask[me.sequence * p.H + me.unit];
  }

  __device__ void clear() {
    for (int s = 0; s < S; ++s) states[s] = 0.f;
  }

  __device__ void step(const ScanForward& p, const ClusterThread& me, std::int64_t row, const cells::Regs<float, G>& wx,
                       const cells::Regs<float, G>& rh) {
    const std::int64_t at = row * p.H + me.unit;
    const auto result = Cell::forward(p.options, wx, rh, states, unit);
    if (p.y) p.y[at] = result.next[0];
    for (int s = 1; s < S; ++s)
      if (p.states[s - 1]) p.states[s - 1][at] = result.next[s];
    const ScanReserve& r = p.reserve;
    for (int s = 0; s < S; ++s)
      if (r.previous[s]) r.previous[s][at] = states[s];
    if (r.entering && r.entering != r.previous[0]) r.entering[at] = states[0] * factor;
    if (r.saved)
      for (int i = 0; i < Cell::kSaved; ++i) r.saved[(row * Cell::kSaved + i) * p.H + me.unit] = result.saved[i];
    states = result.next;
  }

  /// Rows past the length, and the states after the last step.
  __device__ void finish(const ScanForward& p, const ClusterThread& me) const {
    const auto zero = [&](float* to) { cluster_zero_rows(p, me, to, me.unit, 1, 0, p.H); };
    zero(p.y);
    for (int s = 1; s < S; ++s) zero(p.states[s - 1]);
    for (int s = 0; s < S; ++s) zero(p.reserve.previous[s]);
    zero(p.reserve.entering);
    cluster_zero_rows(p, me, p.reserve.saved, me.unit, Cell::kSaved, p.H, Cell::kSaved * p.H);
    for (int s = 0; s < S; ++s)
      if (p.final[s] && me.owns) p.final[s][me.sequence * p.H + me.unit] = states[s];
  }
};

/// h before the first step, as it enters the product; every block loads all of it. What no sequence owns is zero.
template <class Product>
__device__ void cluster_load_hidden(const ScanForward& p, const ClusterThread& me,
                                    ClusterForwardShared<Product>& shared) {
  for (int i = static_cast<int>(threadIdx.x); i < kClusterTile * Product::kPadded; i += kClusterThreads) {
    const int n = i / Product::kPadded, k = i % Product::kPadded;
    float value = 0.f;
    if (n < me.count && k < p.H && p.initial[0]) {
      const std::int64_t at = (me.first + n) * p.H + k;
      const int length = me.length_of(p, n);
      const std::int64_t t = p.reverse ? length - 1 : 0;
      const bool reset = p.resets && length > 0 && p.resets[t * p.N + me.first + n] != 0;
      if (!reset) value = p.initial[0][at] * (p.mask ? p.mask[at] : 1.f);
    }
    shared.hidden[0][Product::index(n, k)] = Product::element(value);
    shared.hidden[1][Product::index(n, k)] = Product::element(0.f);
  }
}

template <class Cell, class Product>
__global__ void __launch_bounds__(kClusterThreads, 1)
    cluster_forward_kernel(const __grid_constant__ ClusterScans<ScanForward> scans) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  constexpr int G = Cell::kGates;
  auto& shared = *dynamic_shared<ClusterForwardShared<Product>>();
  const ScanForward& p = scans.scan[blockIdx.y];
  const ClusterThread me(p, scans.tile);
  Product product(p.w_hh, p.H, me.rank);
  ClusterCellForward<Cell> cell(p, me);
  cluster_load_hidden(p, me, shared);
  std::uint64_t* const full = shared.full;
  start_cluster_barriers(shared.full);

  const unsigned bytes = me.count * Product::kPadded * sizeof(typename Product::Element);
  for (int step = 0; step < me.longest; ++step) {
    const int now = step & 1, next = now ^ 1;
    const bool active = me.owns && step < me.length, more = step + 1 < me.longest;
    const std::int64_t row = me.row(p, step);
    cells::Regs<float, G> wx = cell.b_ih, rh;
    if (active)  // before the wait, which hides the latency
      for (int g = 0; g < G; ++g) wx[g] += p.wx[(row * p.H + me.unit) * G + g];
    const bool reset = me.is_reset(p, step + 1);
    if (more && threadIdx.x == 0) mbarrier_arrive_expect_tx(&full[next], bytes);
    if (step > 0) mbarrier_wait_parity(&full[now], ((step - 1) >> 1) & 1);

    product.multiply(shared.hidden[now], shared.partial[now], me.count);
    __syncthreads();
    if (active) {
      for (int g = 0; g < G; ++g) rh[g] = Product::sum(shared.partial[now], me.warp, g, me.lane) + cell.b_hh[g];
      cell.step(p, me, row, wx, rh);
    }
    if (reset) cell.clear();
    if (more && me.warp < me.count) {
      const uint4 packet = Product::gather(cell.states[0] * cell.factor, me.lane);
      const int lanes = Product::kPacketUnits, base = me.lane / lanes * lanes;
      auto* const to = &shared.hidden[next][Product::index(me.warp, static_cast<int>(me.rank) * kClusterUnits + base)];
      for (int peer = me.lane % lanes; peer < Product::kBlocks; peer += lanes)
        store_async_16(map_shared(to, peer), packet, map_shared(&full[next], peer));
    }
  }
  cell.finish(p, me);
#else
  __trap();
#endif
}

template <Precision precision, int gates, int padded>
using ClusterForwardProduct = std::conditional_t<precision == Precision::bf16, ClusterBf16ForwardProduct<gates, padded>,
                                                 ClusterF32ForwardProduct<gates, padded>>;

template <class Cell, Precision precision>
void launch_cluster_forward(const ScanForward* scans, int count, const ClusterPlan& plan, cudaStream_t stream) {
  if constexpr (Cell::kTwoPhase) {
    throw std::logic_error("cluster-persistent: this cell has two phases");
  } else {
    with_padded_size<precision, Cell::kGates>(plan, [&](auto padded) {
      using Product = ClusterForwardProduct<precision, Cell::kGates, padded()>;
      static_assert(sizeof(ClusterForwardShared<Product>) == cluster_forward_shared(precision, Cell::kGates, padded()));
      launch_clusters(cluster_forward_kernel<Cell, Product>, scans, count, plan, plan.forward_shared_bytes, stream);
    });
  }
}

template <class Cell, Precision precision>
int count_cluster_forward(const ClusterPlan& plan) {
  int clusters = 0;
  if constexpr (Cell::kTwoPhase) {
    throw std::logic_error("cluster-persistent: this cell has two phases");
  } else {
    with_padded_size<precision, Cell::kGates>(plan, [&](auto padded) {
      clusters =
          clusters_at_once(cluster_forward_kernel<Cell, ClusterForwardProduct<precision, Cell::kGates, padded()>>,
                           cluster_shape(plan, 1, 1, plan.forward_shared_bytes, nullptr));
    });
  }
  return clusters;
}

}  // namespace seqgpu::kernels
