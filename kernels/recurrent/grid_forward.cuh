#pragma once

#include "kernels/recurrent/grid_scan.cuh"

// All steps of a layer forward, in one launch.
//   work    block (group, slice) owns `units` units with all their gates for the sequences of its group, 8 at a time (a
//           tile). Product: a warp takes 2 (8) units and part of k, lanes share k. Gates: a thread for each (n, unit)
//   memory  weights [units*G, H] stay in shared memory for all T. A step reads the group's h from L2 and wx, writes h,
//           y and in training previous and saved; unit-wise traffic is coalesced along the block's units
//   order   arrive - load what needs nobody - wait - for each tile: h to shared memory, product, gates - arrive.
//           h of step s lies in exchange[s % 2]: a block that writes step s+2's has seen all others arrive past their
//           reading of step s's. So one barrier a step is enough
//   limits  one block to a multiprocessor, cooperative; see plan_grid()
namespace seqgpu::kernels {

template <class Cell, class Weight>
struct GridForward {
  static constexpr int G = Cell::kGates, S = Cell::kStates, P = Cell::kUnitParameters;
  static constexpr int kJobUnits = grid::units_per_job(G);

  /// What a cell needs that no other block makes.
  struct Input {
    std::int64_t rank, sequence, row;
    int length;
    float mask;
    Regs<float, G> wx;
    Regs<float, S> previous;
  };

  const GridArgs<ScanForward>& args;
  const ScanForward& scan = args.scan;
  const GridPlan& plan = args.plan;
  const GridBlock block{plan, scan};
  const GridCell cell{plan, block};
  const int unit = block.first_unit + cell.u;  // of the layer
  const int rows = (plan.units * G + 3) / 4 * 4;
  const int stride;  // of a row of weights
  typename Weight::Stored* weights;
  float* tiles;     // [buffers][kGridTile][row]
  float* products;  // [parts][rows][kProductStride]
  Regs<float, G> b_ih{}, b_hh{};
  Regs<float, P> parameters{};

  __device__ explicit GridForward(const GridArgs<ScanForward>& a)
      : args(a), stride(static_cast<int>(grid::weight_row_bytes(a.plan) / sizeof(typename Weight::Stored))) {
    weights = dynamic_shared<typename Weight::Stored>();
    tiles = reinterpret_cast<float*>(weights + rows * stride);
    products = tiles + plan.buffers * kGridTile * plan.row;
  }

  __device__ float* exchange(int parity) const { return args.exchange + parity * scan.N * plan.row; }
  __device__ float& carry(int state, std::int64_t rank) const {
    return args.carry[(state * scan.N + rank) * scan.H + unit];
  }

  /// The factor of h as it enters the product.
  __device__ float mask(std::int64_t sequence) const { return scan.mask ? scan.mask[sequence * scan.H + unit] : 1.f; }

  __device__ void start() {
    const int width = static_cast<int>(scan.H);
    load_weights<Weight>(scan.w_hh, std::int64_t{block.first_unit} * G, block.units * G, width, plan.row, rows, stride,
                         weights);
    for (int i = threadIdx.x; i < plan.buffers * kGridTile * plan.row; i += blockDim.x) tiles[i] = 0;
    if (cell.exists) {
      b_ih = load<G>(scan.b_ih + unit * G);
      b_hh = load<G>(scan.b_hh + unit * G);
      parameters = load_parameters<P>(scan.unit ? scan.unit + unit : nullptr, scan.H);
    }
    for (int j = cell.n; cell.exists && j < block.sequences; j += kGridTile) start_sequence(block.rank(plan, j));
    // The columns that pad a row of h belong to the last slice.
    if (block.slice + 1 == plan.slices)
      for (int i = threadIdx.x; i < 2 * block.sequences * (plan.row - width); i += blockDim.x) {
        const int column = width + i % (plan.row - width), j = i / (plan.row - width);
        exchange(j % 2)[block.rank(plan, j / 2) * plan.row + column] = 0;
      }
  }

  __device__ void start_sequence(std::int64_t rank) {
    const std::int64_t sequence = args.order[rank], i = sequence * scan.H + unit;
    const bool empty = args.length[rank] == 0;
#pragma unroll
    for (int state = 0; state < S; ++state) {
      const float value = scan.initial[state] ? scan.initial[state][i] : 0;
      carry(state, rank) = value;
      if (state == 0) exchange(0)[rank * plan.row + unit] = value * mask(sequence);
      if (empty && scan.final[state]) scan.final[state][i] = value;
    }
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
    in.mask = mask(in.sequence);
    in.wx = load<G>(scan.wx + (in.row * scan.H + unit) * G);
    if (is_reset(scan, in.row)) return in;
#pragma unroll
    for (int state = 0; state < S; ++state) in.previous[state] = carry(state, in.rank);
    return in;
  }

  /// Sets off the copy of a tile's h; zeros where a sequence is reset.
  __device__ void stage(int s, int tile, int active) const {
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
    float* const to = tiles + tile % plan.buffers * kGridTile * plan.row;
    for (int n = warp; n < min(active - tile * kGridTile, kGridTile); n += warps) {
      const std::int64_t rank = block.rank(plan, tile * kGridTile + n);
      const bool reset = is_reset(scan, grid_row(scan, args.order[rank], args.length[rank], s));
      const float* const h = exchange(s % 2) + rank * plan.row;
      for (int k = lane * 4; k < plan.row; k += 128) cp_async_16(to + n * plan.row + k, h + k, reset ? 0 : 16);
    }
    cp_async_commit();
  }

  __device__ void multiply(int tile, int active) const {
    const int warp = threadIdx.x / 32, warps = blockDim.x / 32;
    const float* const h = tiles + tile % plan.buffers * kGridTile * plan.row;
    const int unit_jobs = (block.units + kJobUnits - 1) / kJobUnits;
    with_sequences(active - tile * kGridTile, [&]<int Sequences>() {
      for (int job = warp; job < unit_jobs * plan.parts; job += warps) {
        const int first = job / plan.parts * kJobUnits, part = job % plan.parts;
        multiply_rows<Weight, kJobUnits * G, Sequences>(plan, weights + first * G * stride, stride,
                                                        min(kJobUnits, block.units - first) * G, h, part,
                                                        products + (part * rows + first * G) * grid::kProductStride);
      }
    });
  }

  __device__ void run_cell(int s, const Input& in) const {
    Regs<float, G> rh = b_hh;
    for (int part = 0; part < plan.parts; ++part)
#pragma unroll
      for (int g = 0; g < G; ++g) rh[g] += products[(part * rows + cell.u * G + g) * grid::kProductStride + cell.n];
    const auto step = Cell::forward(scan.options, sum(in.wx, b_ih), rh, in.previous, parameters);
    const std::int64_t at = in.row * scan.H + unit;
    exchange((s + 1) % 2)[in.rank * plan.row + unit] = step.next[0] * in.mask;
    if (scan.y) scan.y[at] = step.next[0];
#pragma unroll
    for (int state = 0; state < S; ++state) {
      carry(state, in.rank) = step.next[state];
      if (state > 0 && scan.states[state - 1]) scan.states[state - 1][at] = step.next[state];
      if (s + 1 == in.length && scan.final[state]) scan.final[state][in.sequence * scan.H + unit] = step.next[state];
      if (scan.reserve.previous[state]) scan.reserve.previous[state][at] = in.previous[state];
    }
    if (scan.mask && scan.reserve.entering) scan.reserve.entering[at] = in.previous[0] * in.mask;
    if (scan.reserve.saved)
#pragma unroll
      for (int i = 0; i < Cell::kSaved; ++i)
        scan.reserve.saved[(in.row * Cell::kSaved + i) * scan.H + unit] = step.saved[i];
  }

  __device__ void run_step(int s, int active, const GridBarrier& barrier) const {
    const int count = (active + kGridTile - 1) / kGridTile;
    Input in = load_input(s, 0, active);
    barrier.wait();
    stage(s, 0, active);
    for (int tile = 0; tile < count; ++tile) {
      const bool more = tile + 1 < count;
      if (more && plan.buffers > 1) stage(s, tile + 1, active);
      if (more && plan.buffers > 1)
        cp_async_wait<1>();
      else
        cp_async_wait<0>();
      __syncthreads();  // this tile of h is here
      multiply(tile, active);
      __syncthreads();  // the products are; h may go
      if (more && plan.buffers == 1) stage(s, tile + 1, active);
      const Input now = in;
      if (more) in = load_input(s, tile + 1, active);
      if (cell.exists && tile * kGridTile + cell.n < active) run_cell(s, now);
    }
  }

  __device__ void run() {
    GridBarrier barrier(args.counters + block.group * kGridCounterStride, plan.slices);
    start();
    barrier.arrive();
    int active = block.sequences;
    for (int s = 0;; ++s) {
      while (active > 0 && args.length[block.rank(plan, active - 1)] <= s) --active;
      if (active == 0) break;
      run_step(s, active, barrier);
      barrier.arrive();
    }
    for_each_padded_row(scan, [&](std::int64_t row) {
      clear_row(scan.y, row, scan.H);
      for (int state = 1; state < S; ++state) clear_row(scan.states[state - 1], row, scan.H);
      clear_row(scan.reserve.entering, row, scan.H);
    });
  }
};

template <class Cell, class Weight>
__global__ void __launch_bounds__(kGridThreads, 1)
    grid_forward_kernel(const __grid_constant__ GridArgs<ScanForward> args) {
  GridForward<Cell, Weight>(args).run();
}

}  // namespace seqgpu::kernels
