// The scan of a recurrent layer, compiled once per instruction set: recurrent product and gates of one step.
//   work    tiles of kRowTile rows x kColumnTile packs; a tile holds all gates of its units
//   memory  panels [unit group][k][unit pack][gate][lanes], streamed once per row tile; sums pass through L1. In bf16
//           an element of a panel is two k
//   limits  rows padded to 64 bytes
#include <algorithm>
#include <type_traits>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/simd/product.hpp"
#include "device/cpu/simd/transpose.hpp"
#include "kernels/cells/all_cells.hpp"

namespace seqgpu::device::cpu::SEQGPU_SIMD {
namespace {

using cells::Regs;

std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <class T>
std::int64_t most_chunks(std::int64_t width, std::int64_t gates) {
  const std::int64_t per_group = kColumnTile / gates * Pack<T>::kLanes;
  return (width + per_group - 1) / per_group;
}

/// Whole panel groups, so that a unit's sums are the same instructions in whichever chunk it is.
template <class T>
Range chunk_of(std::int64_t width, std::int64_t gates, std::int64_t chunk, std::int64_t chunks) {
  const std::int64_t per_group = kColumnTile / gates * Pack<T>::kLanes, groups = most_chunks<T>(width, gates);
  return {least(width, groups * chunk / chunks * per_group), least(width, groups * (chunk + 1) / chunks * per_group)};
}

/// out[k*stride + lane] for one gate of one pack of units.
template <class T>
void pack_block(const PanelSource<T>& s, const T* from, std::int64_t first, T* out, std::int64_t stride) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t valid = least(lanes, s.units - first);
  from += first * s.unit_stride;
  std::int64_t k = 0;
  if (valid == lanes && s.unit_stride == 1)
    for (; k < s.k; ++k) Pack<T>::load(from + k * s.k_stride).store(out + k * stride);
  if (valid == lanes && s.k_stride == 1)
    for (; k + lanes <= s.k; k += lanes) transpose(from + k, s.unit_stride, out + k * stride, stride);
  for (; k < s.k; ++k)
    for (std::int64_t i = 0; i < lanes; ++i)
      out[k * stride + i] = i < valid ? from[i * s.unit_stride + k * s.k_stride] : T(0);
}

#if defined(SEQGPU_SIMD_BF16)
void pack_block(const PanelSource<float>& s, const float* from, std::int64_t first, Bf16Pair* out,
                std::int64_t stride) {
  pack_pairs(from + first * s.unit_stride, s.unit_stride, s.k_stride, s.units - first, s.k, out, stride);
}
#endif

template <class T>
void pack_panels(const PanelSource<T>& s, Range units, T* panels) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t per_group = kColumnTile / s.gates, end = units.last / lanes;
  const std::int64_t depth = elements<T>(s.k);
  auto* out = reinterpret_cast<Element<T>*>(panels) + units.first * s.gates * depth;
  for (std::int64_t first = units.first / lanes; first < end; first += per_group) {
    const std::int64_t count = least(per_group, end - first), stride = count * s.gates * lanes;
    for (std::int64_t block = 0; block < count; ++block)
      for (std::int64_t gate = 0; gate < s.gates; ++gate)
        pack_block(s, s.data + gate * s.gate_stride, (first + block) * lanes, out + (block * s.gates + gate) * lanes,
                   stride);
    out += depth * stride;
  }
}

/// tile(row, rows, first pack, packs, panel, what to fetch) for all rows and packs of units in the range.
template <class T, int G, class Tile>
void for_each_tile(const PanelProduct<T>& p, Tile&& tile) {
  constexpr std::int64_t lanes = Pack<T>::kLanes, per_group = kColumnTile / G;
  const std::int64_t end = p.range.last / lanes, k = elements<T>(p.k), tiles = tiles_of(p.rows);
  for (std::int64_t first = p.range.first / lanes; first < end; first += per_group) {
    const std::int64_t count = least(per_group, end - first), packs = count * G;
    const auto* panel = reinterpret_cast<const Element<T>*>(p.panels) + first * G * k * lanes;
    const auto* next = panel + packs * k * lanes;
    std::int64_t row = 0;
    for (std::int64_t i = 0, rows = 0; i < tiles; ++i, row += rows) {
      rows = next_rows(p.rows - row);
      tile(row, rows, first, count, panel, fetch_ahead(next, packs, k, i, tiles));
    }
  }
}

/// tail(block) for all packs of units of some rows. Tails stand apart from the tile code, so that every row runs the
/// same instructions.
template <class T, int G, class Tail>
[[gnu::always_inline]] inline void for_each_block(std::int64_t row, std::int64_t rows, std::int64_t first,
                                                  std::int64_t count, const T* sum, Tail&& tail) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t block = 0; block < count; ++block, sum += G * lanes) tail(row + i, (first + block) * lanes, sum);
}

/// One of the functions below.
template <class T>
using Tail = void (*)(const StepForward<T>& p, std::int64_t row, std::int64_t rows, std::int64_t first,
                      std::int64_t count, const T* sum);

/// What the gates of a tile read and write lies further away than the first-level cache: it comes while the tile's
/// product runs.
template <class Cell, class T>
void fetch(const StepForward<T>& p, std::int64_t row, std::int64_t rows, std::int64_t unit, std::int64_t units) {
  constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  const auto lines = [&](const T* from, std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i)
      for (std::int64_t j = 0; j < units; j += line) __builtin_prefetch(from + i * p.H + j);
  };
  for (std::int64_t r = row; r < row + rows; ++r) {
    lines(p.wx + r * Cell::kGates * p.H + unit, Cell::kGates);
    if (p.saved) lines(p.saved + r * Cell::kSaved * p.H + unit, Cell::kSaved);
    for (int s = 0; s < Cell::kStates; ++s) {
      lines(p.prev[s] + r * p.H + unit, 1);
      lines(p.next[s] + r * p.H + unit, 1);
    }
  }
}

template <class Cell, int G, class T>
void multiply_then(const StepForward<T>& p, const PanelProduct<T>& product, Tail<T> tail) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  alignas(64) T sum[kRowTile * kColumnTile * lanes];
  for_each_tile<T, G>(product, [&](std::int64_t row, std::int64_t rows, std::int64_t first, std::int64_t count,
                                   const Element<T>* panel, Ahead ahead) {
    fetch<Cell>(p, row, rows, first * lanes, count * lanes);
    multiply_rows<T>(product.x + row * product.x_row, product.x_row, rows, panel, count * G, product.k,
                     {sum, count * G * lanes, false, nullptr, ahead});
    tail(p, row, rows, first, count, sum);
  });
}

template <class T>
void multiply(const PanelProduct<T>& p) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  for_each_tile<T, 1>(p, [&](std::int64_t row, std::int64_t rows, std::int64_t first, std::int64_t count,
                             const Element<T>* panel, Ahead ahead) {
    multiply_rows<T>(p.x + row * p.x_row, p.x_row, rows, panel, count, p.k,
                     {p.out + row * p.columns + first * lanes, p.columns, p.accumulate,
                      p.bias ? p.bias + first * lanes : nullptr, ahead});
  });
}

/// N packs, `stride` apart.
template <int N, class T>
Regs<Pack<T>, N> load_packs(const T* p, std::int64_t stride) {
  Regs<Pack<T>, N> r;
  for (int i = 0; i < N; ++i) r[i] = Pack<T>::load(p + i * stride);
  return r;
}

template <int N, class T>
void store_packs(const Regs<Pack<T>, N>& r, T* p, std::int64_t stride) {
  for (int i = 0; i < N; ++i) r[i].store(p + i * stride);
}

/// Previous states of a unit; h only where the cell reads it.
template <class Cell, class T>
Regs<Pack<T>, Cell::kStates> load_states(const T* const* states, std::int64_t offset) {
  Regs<Pack<T>, Cell::kStates> r;
  r[0] = Cell::kReadsHidden ? Pack<T>::load(states[0] + offset) : Pack<T>(T(0));
  for (int i = 1; i < Cell::kStates; ++i) r[i] = Pack<T>::load(states[i] + offset);
  return r;
}

template <int N, class T>
Regs<Pack<T>, N> load_unit(bool present, const T* unit, std::int64_t stride) {
  if (present) return load_packs<N>(unit, stride);
  Regs<Pack<T>, N> zero;
  for (int i = 0; i < N; ++i) zero[i] = Pack<T>(T(0));
  return zero;
}

template <class Cell, class T>
[[gnu::always_inline]] inline void keep(const StepForward<T>& p, std::int64_t row, std::int64_t unit,
                                        const cells::CellStep<Pack<T>, Cell::kStates, Cell::kSaved>& step) {
  for (int s = 0; s < Cell::kStates; ++s) step.next[s].store(p.next[s] + row * p.H + unit);
  if (p.saved) store_packs<Cell::kSaved>(step.saved, p.saved + row * Cell::kSaved * p.H + unit, p.H);
}

/// @tparam kPlain  all options are as by default, which leaves no branch between the gates
template <class Cell, bool kPlain, class T>
[[gnu::noinline, gnu::flatten]] void forward_tail(const StepForward<T>& p, std::int64_t first_row, std::int64_t rows,
                                                  std::int64_t first, std::int64_t count, const T* sums) {
  constexpr int G = Cell::kGates;
  const cells::CellOptions options = kPlain ? cells::CellOptions{} : p.options;
  for_each_block<T, G>(
      first_row, rows, first, count,
      sums, [&](std::int64_t row, std::int64_t unit, const T* sum) __attribute__((always_inline)) {
        const auto wx = load_packs<G>(p.wx + row * G * p.H + unit, p.H);
        auto rh = load_packs<G>(sum, Pack<T>::kLanes);
        const auto bias = load_packs<G>(p.bias + unit, p.H);
        for (int g = 0; g < G; ++g) rh[g] = rh[g] + bias[g];
        const auto prev = load_states<Cell>(p.prev, row * p.H + unit);
        const auto parameters = load_unit<Cell::kUnitParameters>(options.peephole, p.unit + unit, p.H);
        keep<Cell>(p, row, unit, Cell::forward(options, wx, rh, prev, parameters));
      });
}

template <class Cell, class T>
[[gnu::noinline, gnu::flatten]] void enter_tail(const StepForward<T>& p, std::int64_t first_row, std::int64_t rows,
                                                std::int64_t first, std::int64_t count, const T* sums) {
  constexpr int G = Cell::kGates;
  for_each_block<T, G - 1>(
      first_row, rows, first, count,
      sums, [&](std::int64_t row, std::int64_t unit, const T* sum) __attribute__((always_inline)) {
        const auto wx = load_packs<G - 1>(p.wx + row * G * p.H + unit, p.H);
        auto rh = load_packs<G - 1>(sum, Pack<T>::kLanes);
        const auto bias = load_packs<G - 1>(p.bias + unit, p.H);
        for (int g = 0; g < G - 1; ++g) rh[g] = rh[g] + bias[g];
        const auto entered = Cell::enter(p.options, wx, rh);
        store_packs<G - 1>(entered, p.saved + row * Cell::kSaved * p.H + unit, p.H);
        (entered[0] * Pack<T>::load(p.entering + row * p.R + unit)).store(p.second + row * p.H + unit);
      });
}

template <class Cell, class T>
[[gnu::noinline, gnu::flatten]] void leave_tail(const StepForward<T>& p, std::int64_t first_row, std::int64_t rows,
                                                std::int64_t first, std::int64_t count, const T* sums) {
  constexpr int G = Cell::kGates;
  for_each_block<T, 1>(
      first_row, rows, first, count,
      sums, [&](std::int64_t row, std::int64_t unit, const T* sum) __attribute__((always_inline)) {
        const auto wx = Pack<T>::load(p.wx + (row * G + G - 1) * p.H + unit);
        const auto rh = Pack<T>::load(sum) + Pack<T>::load(p.bias + (G - 1) * p.H + unit);
        const auto prev = load_states<Cell>(p.prev, row * p.H + unit);
        const auto entered = load_packs<G - 1>(p.saved + row * Cell::kSaved * p.H + unit, p.H);
        keep<Cell>(p, row, unit, Cell::forward(p.options, entered, wx, rh, prev));
      });
}

bool plain(const cells::CellOptions& o) {
  return o.activation == Activation::tanh && o.output_activation == Activation::tanh && !o.coupled_gates &&
         !o.peephole && !(o.cell_clip > 0);
}

template <class Cell, class T>
void step_forward(const StepForward<T>& p) {
  const PanelProduct<T> product{p.rows, p.k, p.H, p.units, p.entering, p.R, p.panels};
  if constexpr (Cell::kTwoPhase)
    multiply_then<Cell, Cell::kGates - 1>(p, product, enter_tail<Cell, T>);
  else
    multiply_then<Cell, Cell::kGates>(p, product,
                                      plain(p.options) ? forward_tail<Cell, true, T> : forward_tail<Cell, false, T>);
}

template <class Cell, class T>
void step_forward_second(const StepForward<T>& p) {
  const PanelProduct<T> product{p.rows, p.k, p.H, p.units, p.second, p.H, p.panels_last};
  multiply_then<Cell, 1>(p, product, leave_tail<Cell, T>);
}

template <class Cell, class T>
void step_backward(const StepBackward<T>& p) {
  constexpr int G = Cell::kGates, S = Cell::kStates, P = Cell::kUnitParameters;
  constexpr std::int64_t kAhead = 2;  // rows; the step before lies before this one
  for (std::int64_t row = p.rows - 1; row >= 0; --row)
    for (std::int64_t unit = p.units.first; unit < p.units.last; unit += Pack<T>::kLanes) {
      const std::int64_t at = row * p.H + unit;
      for (int i = 0; i < Cell::kSaved; ++i)
        __builtin_prefetch(p.saved + ((row - kAhead) * Cell::kSaved + i) * p.H + unit);
      for (int g = 0; g < G; ++g) __builtin_prefetch(p.d_wx + ((row - kAhead) * G + g) * p.H + unit);
      for (int g = 0; Cell::kSplitGradient && g < G; ++g)
        __builtin_prefetch(p.d_rh + ((row - kAhead) * G + g) * p.H + unit);
      for (int s = Cell::kReadsHidden ? 0 : 1; s < S; ++s) __builtin_prefetch(p.prev[s] + at - kAhead * p.H);
      Regs<Pack<T>, S> d_next;
      for (int s = 0; s < S; ++s) d_next[s] = Pack<T>::load(p.d_next[s] + at);
      const auto saved = load_packs<Cell::kSaved>(p.saved + row * Cell::kSaved * p.H + unit, p.H);
      const auto d = Cell::backward(p.options, saved, load_states<Cell>(p.prev, at),
                                    load_unit<P>(p.options.peephole, p.unit + unit, p.H), d_next);
      store_packs<G>(d.wx, p.d_wx + row * G * p.H + unit, p.H);
      if constexpr (Cell::kSplitGradient) store_packs<G>(d.rh, p.d_rh + row * G * p.H + unit, p.H);
      for (int s = Cell::kReadsHidden ? 0 : 1; s < S; ++s) d.prev[s].store(p.d_prev[s] + at);
      for (int i = 0; p.d_unit && i < P; ++i) {
        T* sum = p.d_unit + i * p.H + unit;
        (Pack<T>::load(sum) + d.unit[i]).store(sum);
      }
    }
}

template <class Cell, class T>
void step_backward_second(const StepBackward<T>& p) {
  for (std::int64_t row = 0; row < p.rows; ++row)
    for (std::int64_t unit = p.units.first; unit < p.units.last; unit += Pack<T>::kLanes) {
      const std::int64_t at = row * p.H + unit;
      const auto saved = load_packs<Cell::kSaved>(p.saved + row * Cell::kSaved * p.H + unit, p.H);
      const auto d = Cell::backward_enter(saved, Pack<T>::load(p.entering + at), Pack<T>::load(p.d_second + at));
      d[0].store(p.d_wx + row * Cell::kGates * p.H + unit);
      d[1].store(p.d_entering + at);
    }
}

template <class T>
void activate(Activation activation, T* y, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += Pack<T>::kLanes)
    math::activate(activation, Pack<T>::load(y + i)).store(y + i);
}

template <class T>
void activate_backward(Activation activation, const T* y, T* d, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += Pack<T>::kLanes)
    (Pack<T>::load(d + i) * math::slope(activation, Pack<T>::load(y + i))).store(d + i);
}

template <class T>
void add_column_sums(const T* x, std::int64_t rows, std::int64_t stride, std::int64_t columns, T* sums) {
  for (std::int64_t j = 0; j < columns; j += Pack<T>::kLanes) {
    Pack<T> sum = Pack<T>::load(sums + j);
    for (std::int64_t i = 0; i < rows; ++i) sum = sum + Pack<T>::load(x + i * stride + j);
    sum.store(sums + j);
  }
}

template <class T, class Cell>
constexpr void add_cell(RecurrentKernels<T>& table) {
  constexpr int kind = static_cast<int>(Cell::kKind);
  table.forward[kind] = step_forward<Cell, T>;
  table.backward[kind] = step_backward<Cell, T>;
  if constexpr (Cell::kTwoPhase) {
    table.forward_second[kind] = step_forward_second<Cell, T>;
    table.backward_second[kind] = step_backward_second<Cell, T>;
  }
}

template <class T, class... Cells>
constexpr RecurrentKernels<T> make_table(cells::CellList<Cells...>) {
  static_assert(sizeof...(Cells) <= kMaxCells);
  RecurrentKernels<T> table{};
  table.most_chunks = most_chunks<T>;
  table.chunk_of = chunk_of<T>;
  table.pack_panels = pack_panels<T>;
  table.multiply = multiply<T>;
  table.activate = activate<T>;
  table.activate_backward = activate_backward<T>;
  table.add_column_sums = add_column_sums<T>;
  (add_cell<T, Cells>(table), ...);
  return table;
}

}  // namespace

extern const RecurrentKernels<float> kRecurrentF32;
constexpr RecurrentKernels<float> kRecurrentF32 = make_table<float>(cells::AllCells{});
#if !defined(SEQGPU_SIMD_BF16)
extern const RecurrentKernels<double> kRecurrentF64;
constexpr RecurrentKernels<double> kRecurrentF64 = make_table<double>(cells::AllCells{});
#endif

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
