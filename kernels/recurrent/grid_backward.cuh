#pragma once

#include "kernels/recurrent/grid_scan.cuh"

// All steps of a layer backward, from the last to the first, in one launch.
//   work    block (group, slice) owns the same units as forward: it makes the gate gradients of its units (a thread for
//           each (n, unit)), multiplies them by its rows of the weights (a warp takes 64 columns, lanes share them) and
//           so has a share of every unit's d h[t-1]. The owner of a unit adds the shares of all slices, in their order
//   memory  weights [units*G, H] stay in shared memory for all T. A step writes and reads one share of d h for each
//           (slice, n, unit) through L2; gathering all gate gradients instead would read G of them in place of both
//   order   load what needs nobody - wait - for each tile: sums of shares, gates, product - arrive. Shares of step s
//   lie
//           in exchange[s % 2], which makes one barrier a step enough, as in forward
//   limits  one block to a multiprocessor, cooperative; see plan_grid()
namespace seqgpu::kernels {

template <class Cell, class Weight>
struct GridBackward {
  static constexpr int G = Cell::kGates, S = Cell::kStates, P = Cell::kUnitParameters;

  /// What a cell needs that no other block makes.
  struct Input {
    std::int64_t rank, sequence, row;
    int length;
    Regs<float, Cell::kSaved> saved;
    Regs<float, S> previous, d_next;  // d_next lacks what comes through the product
  };

  const GridArgs<ScanBackward>& args;
  const ScanBackward& scan = args.scan;
  const GridPlan& plan = args.plan;
  const GridBlock block{plan, scan};
  const GridCell cell{plan, block};
  const int unit = block.first_unit + cell.u;  // of the layer
  const int rows = (plan.units * G + 3) / 4 * 4;
  const int stride;  // of a row of weights
  typename Weight::Stored* weights;
  float* d_gates;  // [kGridTile][rows]
  float* sums;     // [parts][kGridTile][units]
  Regs<float, P> parameters{};

  __device__ explicit GridBackward(const GridArgs<ScanBackward>& a)
      : args(a), stride(static_cast<int>(grid::weight_row_bytes(a.plan) / sizeof(typename Weight::Stored))) {
    weights = dynamic_shared<typename Weight::Stored>();
    d_gates = reinterpret_cast<float*>(weights + rows * stride);
    sums = d_gates + kGridTile * rows;
  }

  /// The share of d h that slice `slice` made at a step of this parity, for one sequence: [row].
  __device__ float* share(int parity, int slice, std::int64_t rank) const {
    return args.exchange + ((std::int64_t{parity} * plan.slices + slice) * scan.N + rank) * plan.row;
  }
  __device__ float& carry(int state, std::int64_t rank) const {
    return args.carry[(state * scan.N + rank) * scan.H + unit];
  }

  __device__ void start() {
    load_weights<Weight>(scan.w_hh, std::int64_t{block.first_unit} * G, block.units * G, static_cast<int>(scan.H),
                         plan.row, rows, stride, weights);
    for (int i = threadIdx.x; i < kGridTile * rows; i += blockDim.x) d_gates[i] = 0;
    if (cell.exists) parameters = load_parameters<P>(scan.unit ? scan.unit + unit : nullptr, scan.H);
    __syncthreads();
  }

  /// The tile's cell of this thread, if it has one at this step.
  __device__ Input load_input(int s, int tile, int active) const {
    Input in{};
    const int j = tile * kGridTile + cell.n;
    if (!cell.exists || j >= active) return in;
    in.rank = block.rank(plan, j);
    in.sequence = args.order[in.rank];
    in.length = args.length[in.rank];
    in.row = grid_row(scan, in.sequence, in.length, s);
    const std::int64_t at = in.row * scan.H + unit;
#pragma unroll
    for (int i = 0; i < Cell::kSaved; ++i)
      in.saved[i] = scan.reserve.saved[(in.row * Cell::kSaved + i) * scan.H + unit];
#pragma unroll
    for (int state = 0; state < S; ++state) {
      in.previous[state] = scan.reserve.previous[state][at];
      const float* const d = state == 0 ? scan.d_y : scan.d_states[state > 0 ? state - 1 : 0];
      if (d) in.d_next[state] = d[at];
      if (s + 1 < in.length) {
        if (state > 0 || Cell::kReadsHidden) in.d_next[state] += carry(state, in.rank);
      } else if (scan.d_final[state]) {
        in.d_next[state] += scan.d_final[state][in.sequence * scan.H + unit];
      }
    }
    return in;
  }

  /// Adds the shares that this thread's part of the slices made at step s, for the cells of a tile.
  __device__ void gather(int s, int tile, int active) const {
    const int cells = kGridTile * plan.units;
    const int part = threadIdx.x / cells, n = threadIdx.x % cells / plan.units, u = threadIdx.x % plan.units;
    const int j = tile * kGridTile + n;
    if (part >= plan.parts || u >= block.units || j >= active) return;
    const std::int64_t rank = block.rank(plan, j);
    float total = 0;
    if (s < args.length[rank]) {
      const float* from = share(s % 2, part, rank) + block.first_unit + u;
      const std::int64_t next = plan.parts * scan.N * plan.row;
#pragma unroll 8
      for (int slice = part; slice < plan.slices; slice += plan.parts, from += next) total += *from;
    }
    sums[(part * kGridTile + n) * plan.units + u] = total;
  }
  /// What h of this thread's cell gets through the product.
  __device__ float gathered(std::int64_t sequence) const {
    float total = 0;
    for (int part = 0; part < plan.parts; ++part) total += sums[(part * kGridTile + cell.n) * plan.units + cell.u];
    return scan.mask ? total * scan.mask[sequence * scan.H + unit] : total;
  }

  __device__ void run_cell(int s, Input& in) const {
    in.d_next[0] += gathered(in.sequence);
    const auto d = Cell::backward(scan.options, in.saved, in.previous, parameters, in.d_next);
    const std::int64_t at = (in.row * scan.H + unit) * G;
    store(scan.d_wx + at, d.wx);
    if constexpr (Cell::kSplitGradient) store(scan.d_rh + at, d.rh);
    const bool reset = is_reset(scan, in.row);  // nothing passes it
#pragma unroll
    for (int g = 0; g < G; ++g) {
      float d_rh = d.wx[g];
      if constexpr (Cell::kSplitGradient) d_rh = d.rh[g];
      d_gates[cell.n * rows + cell.u * G + g] = reset ? 0.f : d_rh;
    }
#pragma unroll
    for (int state = 0; state < S; ++state)
      if (state > 0 || Cell::kReadsHidden) carry(state, in.rank) = reset ? 0.f : d.prev[state];
    if (scan.d_unit)
#pragma unroll
      for (int i = 0; i < P; ++i) {
        float& total = scan.d_unit[(in.sequence * P + i) * scan.H + unit];
        total = s + 1 < in.length ? total + d.unit[i] : d.unit[i];
      }
  }

  __device__ void multiply(int s, int tile, int active) const {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const int column_jobs = (plan.row + grid::kJobColumns - 1) / grid::kJobColumns, size = kGridTile / plan.split;
    for (int job = warp; job < column_jobs * plan.split; job += warps) {
      const int column = job / plan.split * grid::kJobColumns + lane * 2, first = job % plan.split * size;
      const int j = tile * kGridTile + first, count = min(active - j, size);
      if (count <= 0 || column >= plan.row) continue;
      with_sequences(count, [&]<int Sequences>() {
        multiply_columns<Weight, Sequences>(weights + column, stride, d_gates + first * rows, rows,
                                            share(s % 2, block.slice, block.rank(plan, j)) + column,
                                            std::int64_t{plan.groups} * plan.row, count);
      });
    }
  }

  __device__ void run_step(int s, int active, const GridBarrier& barrier, bool first) const {
    Input in = load_input(s, 0, active);
    if (!first) barrier.wait();
    for (int tile = 0; tile * kGridTile < active; ++tile) {
      gather(s + 1, tile, active);
      __syncthreads();  // the sums are here, and the last product is done
      if (cell.exists && tile * kGridTile + cell.n < active) run_cell(s, in);
      __syncthreads();  // the gate gradients are; the sums may go
      if ((tile + 1) * kGridTile < active) in = load_input(s, tile + 1, active);
      multiply(s, tile, active);
    }
  }

  /// What the initial states get; where a sequence is empty, they are the final ones.
  __device__ void finish() const {
    for (int tile = 0; tile * kGridTile < block.sequences; ++tile) {
      gather(0, tile, block.sequences);
      __syncthreads();
      const int j = tile * kGridTile + cell.n;
      if (cell.exists && j < block.sequences) finish_sequence(block.rank(plan, j));
      __syncthreads();
    }
  }
  __device__ void finish_sequence(std::int64_t rank) const {
    const std::int64_t sequence = args.order[rank], i = sequence * scan.H + unit;
    const bool empty = args.length[rank] == 0;
#pragma unroll
    for (int state = 0; state < S; ++state) {
      if (!scan.d_initial[state]) continue;
      float d = 0;
      if (empty) {
        if (scan.d_final[state]) d = scan.d_final[state][i];
      } else {
        if (state == 0) d = gathered(sequence);
        if (state > 0 || Cell::kReadsHidden) d += carry(state, rank);
      }
      scan.d_initial[state][i] = d;
    }
    for (int k = 0; empty && scan.d_unit && k < P; ++k) scan.d_unit[(sequence * P + k) * scan.H + unit] = 0;
  }

  __device__ void run() {
    GridBarrier barrier(args.counters + block.group * kGridCounterStride, plan.slices);
    start();
    const int longest = args.length[block.rank(plan, 0)];
    int active = 0;
    for (int s = longest - 1; s >= 0; --s) {
      while (active < block.sequences && args.length[block.rank(plan, active)] > s) ++active;
      run_step(s, active, barrier, s + 1 == longest);
      barrier.arrive();
    }
    if (longest > 0) barrier.wait();
    finish();
    for_each_padded_row(scan, [&](std::int64_t row) {
      clear_row(scan.d_wx, row, scan.H * G);
      if constexpr (Cell::kSplitGradient) clear_row(scan.d_rh, row, scan.H * G);
    });
  }
};

template <class Cell, class Weight>
__global__ void __launch_bounds__(kGridThreads, 1)
    grid_backward_kernel(const __grid_constant__ GridArgs<ScanBackward> args) {
  GridBackward<Cell, Weight>(args).run();
}

}  // namespace seqgpu::kernels
