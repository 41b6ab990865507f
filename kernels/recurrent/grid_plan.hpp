#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>

// How the grid-persistent strategy cuts one layer's recurrence into blocks: a pure function of the shape and the
// device's limits, plain C++.
//
// A group of `slices` blocks computes some of the sequences from the first step to the last; block i of it owns units
// [i*units, (i+1)*units) with all their gates, whose weights stay in its shared memory. Groups never talk to each
// other. There is one block to a multiprocessor, so that all are resident at once.
namespace seqgpu::kernels {

inline constexpr int kGridTile = 8;            // sequences that are in work at once
inline constexpr int kGridThreads = 256;       // at most; also the bound of the kernels
inline constexpr int kGridCounterStride = 32;  // unsigned: each group's barrier has a cache line of its own

struct GridShape {
  int gates = 0, states = 0;  // of the cell
  std::int64_t N = 0, H = 0;
  bool backward = false;
  bool bf16 = false;  // weights kept as bf16
};

struct GridLimits {
  int compute_capability = 0;
  int multiprocessors = 0;
  std::int64_t shared_bytes_per_block = 0;
};

/// Copied into the kernels' arguments.
struct GridPlan {
  int units = 0;   // of a block; the last slice may have fewer
  int slices = 0;  // blocks of a group
  int groups = 0;  // sequence of rank r, longest first, belongs to group r % groups
  int threads = 0;
  int row = 0;      // floats of a row of h or of the weights: H, padded to a multiple of 4
  int parts = 0;    // forward: pieces of the sum over k. backward: threads that share one sum over slices
  int split = 0;    // backward: pieces of a tile of sequences, so that all warps have work
  int buffers = 0;  // forward: tiles of h in shared memory
  bool bf16 = false;
  std::int64_t shared_bytes = 0;

  constexpr int blocks() const { return slices * groups; }
};

struct GridDecision {
  GridPlan plan;
  std::string reason;  // why there is no plan; empty: there is one
};

namespace grid {

constexpr std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }
constexpr std::int64_t divide_up(std::int64_t n, std::int64_t by) { return (n + by - 1) / by; }

/// Units that one warp multiplies at once, so that a float4 of weights and one of h feed 8 sequences x 6 or 8 sums.
constexpr int units_per_job(int gates) { return gates >= 3 ? 2 : gates == 2 ? 4 : 8; }
inline constexpr int kJobColumns = 64;                // backward: columns of R that a warp multiplies at once
inline constexpr int kProductStride = kGridTile + 1;  // odd: threads of different units meet different banks

/// Bytes of a row's weights; rows start 16-byte aligned.
constexpr std::int64_t weight_row_bytes(const GridPlan& p) { return round_up(p.row * (p.bf16 ? 2 : 4), 16); }
/// Rows of the weight slice, padded so that backward reads four gradients at once.
constexpr std::int64_t weight_rows(const GridPlan& p, const GridShape& s) { return round_up(p.units * s.gates, 4); }

/// Backward: each block hands every step's gradient of all units to all others, through memory, for two steps.
constexpr std::int64_t exchange_floats(const GridPlan& p, const GridShape& s) {
  return 2 * s.N * p.row * (s.backward ? p.slices : 1);
}
inline constexpr std::int64_t kMaxExchangeBytes = std::int64_t{256} << 20;

constexpr std::int64_t shared_bytes(const GridPlan& p, const GridShape& s) {
  const std::int64_t rows = weight_rows(p, s);
  const std::int64_t floats = s.backward ? kGridTile * rows + p.parts * kGridTile * p.units
                                         : p.buffers * kGridTile * p.row + p.parts * rows * kProductStride;
  return rows * weight_row_bytes(p) + floats * 4;
}

/// The rest of a plan from its units and groups.
constexpr GridPlan fill(const GridShape& s, int units, int groups, int buffers) {
  GridPlan p;
  p.units = units;
  p.groups = groups;
  p.buffers = buffers;
  p.bf16 = s.bf16;
  p.slices = static_cast<int>(divide_up(s.H, units));
  p.row = static_cast<int>(round_up(s.H, 4));
  const int unit_jobs = static_cast<int>(divide_up(units, units_per_job(s.gates)));
  const int chunks = static_cast<int>(divide_up(p.row, 128));  // of k, a float4 for each lane
  const int column_jobs = static_cast<int>(divide_up(p.row, kJobColumns));
  const int wanted = s.backward ? std::max(column_jobs * kGridTile, 2) * 32 : unit_jobs * chunks * 32;
  p.threads = 64;
  while (p.threads < kGridThreads && p.threads < std::max(wanted, kGridTile * units)) p.threads *= 2;
  const int warps = p.threads / 32;
  p.parts = 1;
  p.split = 1;
  if (s.backward) {
    while (p.parts * 2 <= std::min(p.slices, p.threads / (kGridTile * units))) p.parts *= 2;
    while (p.split < kGridTile && column_jobs * p.split * 2 <= warps) p.split *= 2;
  } else {
    while (unit_jobs * p.parts * 2 <= warps && p.parts * 2 <= chunks) p.parts *= 2;
  }
  p.shared_bytes = shared_bytes(p, s);
  return p;
}

/// Cycles of a step, a model to compare plans with and no more: 128 multiply-adds a cycle at half rate, 32 bytes a
/// cycle from L2 to a multiprocessor, 1500 for a barrier through L2 and the load behind it, 500 for gates and the rest.
constexpr double cycles(const GridPlan& p, const GridShape& s) {
  const double sequences = static_cast<double>(divide_up(s.N, p.groups));
  const double tiled =
      static_cast<double>(sequences < 5 ? sequences : round_up(static_cast<std::int64_t>(sequences), 8));
  const double multiply = p.units * s.gates * static_cast<double>(p.row) * tiled / 64;
  const double exchange = sequences * p.row * 4 / 32 * (s.backward ? 2 : 1);
  return multiply + exchange * (p.buffers > 1 && sequences > kGridTile ? 0.6 : 1) + (p.slices > 1 ? 2000 : 700);
}

inline std::string megabytes(double bytes) {
  const auto tenths = static_cast<long long>(bytes / 1e5 + 0.5);
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MB";
}

/// Why nothing fits.
inline std::string refusal(const GridShape& s, const GridLimits& limits) {
  const int blocks = limits.multiprocessors;
  const auto units = divide_up(s.H, blocks);
  if (units > kGridThreads / kGridTile)
    return "H " + std::to_string(s.H) + " on " + std::to_string(blocks) + " multiprocessors is " +
           std::to_string(units) + " units a block, more than " + std::to_string(kGridThreads / kGridTile);
  const GridPlan p = fill(s, static_cast<int>(units), 1, 1);
  return "H " + std::to_string(s.H) + " needs " + megabytes(static_cast<double>(p.shared_bytes) * p.slices) +
         " of shared memory, " + std::to_string(blocks) + " blocks hold " +
         megabytes(static_cast<double>(limits.shared_bytes_per_block) * blocks);
}

}  // namespace grid

/// The plan that the model above likes best among those that fit; equal ones: the fewest blocks.
inline GridDecision plan_grid(const GridShape& s, const GridLimits& limits) {
  GridDecision d;
  if (limits.compute_capability < 80) {
    d.reason = "needs compute capability 8.0, the device has " + std::to_string(limits.compute_capability / 10) + "." +
               std::to_string(limits.compute_capability % 10);
    return d;
  }
  double best = 0;
  std::int64_t exchange = 0;  // the least of those that only lack memory for it
  for (int units = 1; units <= kGridThreads / kGridTile && units < s.H + 1; ++units) {
    const auto slices = grid::divide_up(s.H, units);
    if (slices > limits.multiprocessors || (units > 1 && grid::divide_up(s.H, units - 1) == slices)) continue;
    const auto most = std::min<std::int64_t>(limits.multiprocessors / slices, grid::divide_up(s.N, kGridTile));
    for (const int groups : {static_cast<int>(most), 1}) {
      for (const int buffers : {1, s.backward ? 1 : 2}) {
        const GridPlan p = grid::fill(s, units, groups, buffers);
        if (p.shared_bytes > limits.shared_bytes_per_block) continue;
        if (grid::exchange_floats(p, s) * 4 > grid::kMaxExchangeBytes) {
          const std::int64_t bytes = grid::exchange_floats(p, s) * 4;
          exchange = exchange == 0 ? bytes : std::min(exchange, bytes);
          continue;
        }
        const double cost = grid::cycles(p, s);
        if (best == 0 || cost < best || (cost == best && p.blocks() < d.plan.blocks())) d.plan = p, best = cost;
      }
    }
  }
  if (best > 0) return d;
  d.reason = exchange > 0 ? "N " + std::to_string(s.N) + " and H " + std::to_string(s.H) + " exchange through " +
                                grid::megabytes(static_cast<double>(exchange)) + ", more than " +
                                grid::megabytes(static_cast<double>(grid::kMaxExchangeBytes))
                          : grid::refusal(s, limits);
  return d;
}

/// Byte offsets into the workspace, which is 256-byte aligned.
struct GridWorkspace {
  std::size_t counters = 0;  // unsigned [groups][kGridCounterStride], zero at the start of a launch
  std::size_t order = 0;     // i32 [N], sequences by falling length
  std::size_t length = 0;    // i32 [N], their lengths
  std::size_t exchange = 0;  // f32 [2][N][row], backward [2][slices][N][row]; by step parity; rows in that order
  std::size_t carry = 0;     // f32 [states][N][H] what a unit's own thread hands to the next step
  std::size_t bytes = 0;
};

constexpr GridWorkspace grid_workspace(const GridPlan& p, const GridShape& s) {
  GridWorkspace w;
  const auto take = [&w](std::int64_t count) {
    const std::size_t at = w.bytes;
    w.bytes += static_cast<std::size_t>(grid::round_up(count * 4, 256));
    return at;
  };
  w.counters = take(p.groups * kGridCounterStride);
  w.order = take(s.N);
  w.length = take(s.N);
  w.exchange = take(grid::exchange_floats(p, s));
  w.carry = take(s.states * s.N * s.H);
  return w;
}

}  // namespace seqgpu::kernels
