#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/team.hpp"
#include "device/implementation.hpp"
#include "kernels/cells/all_cells.hpp"
#include "op/recurrent_desc.hpp"

// What forward and backward of a recurrent layer share: padded widths, the order of rows, the reserve.
//
// Packed rows: sequences sorted by length, longest first; rows of step 0, then step 1, ... Step s of a sequence is its
// s-th in the direction of the scan, and the rows of step s are the active[s] sequences longer than s.
namespace seqgpu::device::cpu {

/// Hands out 64-byte aligned pieces of a block; on a null block it only adds up their sizes.
struct Carver {
  std::byte* base = nullptr;
  std::size_t used = 0;

  template <class T>
  T* take(std::int64_t count) {
    const std::size_t at = used;
    used += (static_cast<std::size_t>(count) * sizeof(T) + 63) / 64 * 64;
    return base ? reinterpret_cast<T*>(base + at) : nullptr;
  }
};

template <class T>
struct Sizes {
  explicit Sizes(const op::RecurrentDesc& d)
      : cell(cells::traits_of(d.cell)),
        G(cell.gates),
        S(cell.states),
        H(padded<T>(d.H)),
        R(padded<T>(d.projection ? d.R : d.H)),
        valid_R(d.projection ? d.R : d.H),
        valid_H(d.H),
        rows(d.T * d.N),
        dropout(d.training && d.recurrent_dropout > 0),
        options{d.activation, d.output_activation, d.coupled_gates, d.peephole, d.cell_clip} {}

  cells::CellTraits cell;
  std::int64_t G, S;
  std::int64_t H, R;              // padded
  std::int64_t valid_R, valid_H;  // what the caller sees
  std::int64_t rows;              // at most
  bool dropout;
  cells::CellOptions options;

  std::int64_t width(std::int64_t s) const { return s == 0 ? R : H; }
  std::int64_t valid_width(std::int64_t s) const { return s == 0 ? valid_R : valid_H; }
};

/// The sequences of a batch are scanned in parts, each by itself: they share nothing but the weights, so that a thread
/// takes a part from the first step to the last and waits for nobody, and what it wrote is in its own core's cache. A
/// function of the desc alone, as gradients of weights are added up part by part.
inline constexpr int kMostParts = 2;
/// From so many sequences on. Parts of few rows make a somewhat slower product, which two directions with a thread each
/// would pay for nothing.
inline int parts_of(const op::RecurrentDesc& d) { return d.N >= (d.paired ? 32 : 16) ? kMostParts : 1; }
/// A part as a layer of its own: N its sequences.
inline op::RecurrentDesc part_of(const op::RecurrentDesc& d, int part, int parts) {
  op::RecurrentDesc one = d;
  one.N = (d.N + parts - 1 - part) / parts;
  return one;
}

/// The order of a batch's rows, or of a part's.
struct Order {
  std::int64_t* sequence = nullptr;                // [N] caller's index, longest first
  std::int64_t* length = nullptr;                  // [N] in that order
  std::int64_t* active = nullptr;                  // [T + 1] sequences longer than s
  std::int64_t* base = nullptr;                    // [T + 1] packed row of step s's first
  std::int64_t N = 0, T = 0, rows = 0, steps = 0;  // steps: the longest length
  std::int64_t caller_N = 0;
  bool reverse = false;
  bool equal = false;  // lengths: a step's rows lie together at the caller's, in order

  static Order take(Carver& carver, const op::RecurrentDesc& desc);
  /// Of a whole batch.
  /// @throws Error{invalid_argument} for a length outside [0, T]
  void build(const std::int32_t* lengths);
  /// Of one part of it: sequences that follow one another where all are as long, else dealt out by length.
  void deal(const Order& batch, int part, int parts);
  std::int64_t time(std::int64_t row, std::int64_t step) const { return reverse ? length[row] - 1 - step : step; }
  /// A row of the caller's [T, caller_N, ...].
  std::int64_t outside(std::int64_t row, std::int64_t step) const { return time(row, step) * caller_N + sequence[row]; }
  /// Whether a product may take the rows of some steps from where the caller has them: elsewhere they are copied, as
  /// its tiles are of rows that lie together.
  bool in_place() const { return equal && (N == 1 || N >= 8 || contiguous()); }
  bool contiguous() const { return equal && !reverse && N == caller_N; }
  /// How they lie there, from the first.
  Rows outside_rows(std::int64_t width) const {
    if (contiguous()) return width;
    const std::int64_t far = (reverse ? -caller_N : caller_N) * width;
    return N == 1 ? Rows(far) : Rows(width, N, far);
  }
  /// move(row, count): each run of a step's rows that lie together at the caller's, too, from its first.
  template <class F>
  void for_each_run(std::int64_t step, F&& move) const {
    const std::int64_t together = equal ? active[step] : 1;
    for (std::int64_t j = 0; j < active[step]; j += together) move(j, together);
  }

 private:
  void index();
};

/// What forward leaves for backward; where nobody wants it, one step of it, overwritten by each.
///
/// A step writes its states for all its rows to where the next step's begin. Sequences that end with it have no row
/// there: theirs are copied out before the next step writes over them, hence N rows more than there are.
template <class T>
struct Reserve {
  T* prev[op::kMaxStates] = {};  // states before each step, after resets [rows + N, R], then [rows + N, H]
  T* entering = nullptr;         // what entered the recurrent product [rows + N, R]; prev[0] without dropout
  T* saved = nullptr;            // [rows, kSaved*H]
  T* second = nullptr;           // two-phase: r*h [rows, H]
  T* unprojected = nullptr;      // projection: the cell's h [rows, H]
  T* projected = nullptr;        // and act(P h + b) [rows, R], before zoneout

  static Reserve take(Carver& carver, const Sizes<T>& z, const op::RecurrentDesc& desc, std::int64_t rows) {
    Reserve r;
    for (std::int64_t s = 0; s < z.S; ++s) r.prev[s] = carver.take<T>((rows + desc.N) * z.width(s));
    r.entering = z.dropout ? carver.take<T>((rows + desc.N) * z.R) : r.prev[0];
    r.saved = carver.take<T>(rows * z.cell.saved * z.H);
    if (z.cell.two_phase) r.second = carver.take<T>(rows * z.H);
    if (desc.projection) r.unprojected = carver.take<T>(rows * z.H);
    if (desc.projection) r.projected = carver.take<T>(rows * z.R);
    return r;
  }
  /// The same, from packed row `row` on.
  Reserve from(std::int64_t row, const Sizes<T>& z) const {
    Reserve r = *this;
    for (std::int64_t s = 0; s < z.S; ++s) r.prev[s] += row * z.width(s);
    r.entering += row * z.R;
    r.saved += row * z.cell.saved * z.H;
    if (second) r.second += row * z.H;
    if (unprojected) r.unprojected += row * z.H;
    if (projected) r.projected += row * z.R;
    return r;
  }
};

/// Philox streams of a layer: the dropout mask, then zoneout of each state.
inline std::uint64_t dropout_stream(const op::RecurrentDesc& d) { return d.stream * 8; }
inline std::uint64_t zoneout_stream(const op::RecurrentDesc& d, std::int64_t state) {
  return d.stream * 8 + 1 + static_cast<std::uint64_t>(state);
}
inline float zoneout_rate(const op::RecurrentDesc& d, std::int64_t state) {
  return state == 0 ? d.zoneout_hidden : d.zoneout_cell;
}

/// mask[j, r] in sorted order: 0, or 1 / (1 - rate).
template <class T>
void draw_dropout(const op::RecurrentDesc& desc, std::uint64_t step, const Order& order, std::int64_t R, T* mask);

/// keep[u] for the units of a range of one state at (t, n): 1 where it keeps its previous value.
/// @param width  of the state as the caller sees it
template <class T>
void draw_zoneout(const op::RecurrentDesc& desc, std::uint64_t step, std::int64_t state, std::int64_t row,
                  std::int64_t width, Range units, T* keep);

/// Into how many chunks of units a scan is cut: see Team. For speed alone, no result depends on it.
/// @param gates  panels of a unit that lie together
template <class T>
int scan_chunks(const op::RecurrentDesc& desc, const Sizes<T>& z, std::int64_t gates, int threads);

/// Each chunk's share of a padded width.
template <class T>
std::array<Range, kMostChunks> chunk_ranges(const RecurrentKernels<T>& kernels, std::int64_t width, std::int64_t gates,
                                            int chunks) {
  std::array<Range, kMostChunks> ranges;
  for (int chunk = 0; chunk < chunks; ++chunk)
    ranges[static_cast<std::size_t>(chunk)] = kernels.chunk_of(width, gates, chunk, chunks);
  return ranges;
}

/// A share of units, all gates of them, as groups of columns of a [gates, width] product: f(first, last) for each run
/// of groups that begin with one of its columns. Shares that make up the width make up the product.
template <class F>
void for_each_group(std::int64_t gates, std::int64_t width, Range units, std::int64_t columns, F&& f) {
  const std::int64_t groups = (gates * width + columns - 1) / columns;
  const auto ours = [&](std::int64_t group) {
    const std::int64_t unit = group * columns % width;
    return unit >= units.first && unit < units.last;
  };
  for (std::int64_t first = 0, last = 0; first < groups; first = last + 1) {
    for (last = first; last < groups && ours(last);) ++last;
    if (first < last) f(first, last);
  }
}

/// Packs panels of `width` padded units, all threads at it.
template <class T>
void pack_all(const RecurrentKernels<T>& kernels, const PanelSource<T>& source, std::int64_t width, T* panels,
              Parallel& parallel);

/// to [gates, padded H, columns] = from [gates, H, columns], the rest zero; from may be null.
template <class T>
void pad_units(const T* from, std::int64_t gates, std::int64_t H, std::int64_t columns, T* to);

/// The opposite.
template <class T>
void unpad_units(const T* from, std::int64_t gates, std::int64_t H, std::int64_t columns, T* to);

/// x of the valid rows of one step, packed.
template <class T>
void gather_step(const Order& order, const T* x, std::int64_t I, std::int64_t step, T* packed);

/// Steps that have so many rows, where all sequences are as long.
inline std::int64_t steps_of_rows(const op::RecurrentDesc& d, std::int64_t rows) {
  return std::clamp<std::int64_t>((rows + d.N - 1) / std::max<std::int64_t>(d.N, 1), 1, std::max<std::int64_t>(d.T, 1));
}

/// Both passes go by blocks of so many steps: the products of a block's inputs and weights run while what the scan of
/// its steps reads or wrote is in the cache, and need memory for one block only. A function of the shape alone: sums
/// over all steps are made block by block.
inline std::int64_t block_steps(const op::RecurrentDesc& d) { return steps_of_rows(d, 256); }

/// Forward sums nothing over steps: it takes a block by pieces of so many, as its weights are in the cache, too.
inline std::int64_t piece_steps(const op::RecurrentDesc& d) { return steps_of_rows(d, 128); }

/// desc.segment in whole blocks; all steps where it is 0. These are of a part.
inline std::int64_t segment_steps(const op::RecurrentDesc& d) {
  const std::int64_t block = block_steps(d), all = std::max<std::int64_t>(d.T, 1);
  return d.segment == 0 ? all : std::min((d.segment + block - 1) / block * block, all);
}

inline std::int64_t segments_of(const op::RecurrentDesc& d) {
  const std::int64_t segment = segment_steps(d);
  return (d.T + segment - 1) / segment;
}

}  // namespace seqgpu::device::cpu
