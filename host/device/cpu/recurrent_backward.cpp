#include <algorithm>
#include <optional>

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent.hpp"
#include "device/cpu/recurrent_forward.hpp"
#include "device/cpu/team.hpp"

// Backward: the scan from the last step to the first gives the gradient of every gate input, packed as in forward, its
// units shared out to a team. After each block of steps one product for each weight adds the block's share. d s is the
// gradient of the loss by s.
namespace seqgpu::device::cpu {

namespace {

template <class T>
const T* input(const Arguments& a, int slot) {
  return static_cast<const T*>(a.inputs[slot]);
}
template <class T>
T* output(const Arguments& a, int slot) {
  return static_cast<T*>(a.outputs[slot]);
}

template <class T>
struct Backward {
  Backward(const op::RecurrentDesc& d, void* workspace, const void* reserve_block) : desc(d), z(d) {
    Carver carver{static_cast<std::byte*>(workspace)};
    const std::int64_t GH = z.G * z.H, valid_GH = z.G * z.valid_H, rows = block_steps(d) * d.N;
    order = Order::take(carver, d);
    x = carver.take<T>(rows * d.I);
    d_x = carver.take<T>(rows * d.I);
    unit = carver.take<T>(z.cell.unit_parameters * z.H);
    d_unit = carver.take<T>(z.cell.unit_parameters * z.H);
    panels = carver.take<T>(GH * z.R);
    projection_panels = carver.take<T>(d.projection ? z.H * z.valid_R : 0);
    for (std::int64_t s = 0; s < z.S; ++s) d_state[s] = carver.take<T>(d.N * z.width(s));
    for (std::int64_t s = 0; s < z.S; ++s) kept[s] = carver.take<T>(zoned(s) ? d.N * z.width(s) : 0);
    direct = carver.take<T>(d.N * std::max(z.R, z.H));
    d_cell_h = carver.take<T>(d.projection ? d.N * z.H : 0);
    d_second = carver.take<T>(z.cell.two_phase ? d.N * z.H : 0);
    d_entering = carver.take<T>(d.N * z.R);
    d_wx = carver.take<T>(rows * valid_GH);
    d_rh = z.cell.split_gradient ? carver.take<T>(rows * valid_GH) : d_wx;
    step_d_wx = carver.take<T>(z.H == z.valid_H ? 0 : d.N * GH);
    step_d_rh = z.cell.split_gradient ? carver.take<T>(z.H == z.valid_H ? 0 : d.N * GH) : step_d_wx;
    d_projected = carver.take<T>(d.projection ? rows * z.R : 0);
    d_b_ih = carver.take<T>(GH);
    d_b_hh = z.cell.split_gradient ? carver.take<T>(GH) : d_b_ih;
    d_b_projection = carver.take<T>(z.R);
    mask = carver.take<T>(z.dropout ? d.N * z.R : 0);
    keep = carver.take<T>(std::max(z.R, z.H));
    const std::size_t scratch =
        std::max({gemm_workspace<T>(valid_GH, d.I, rows), gemm_workspace<T>(valid_GH, z.valid_R, rows),
                  gemm_workspace<T>(z.valid_R, z.valid_H, rows)});
    gemm_scratch = carver.take<std::byte>(static_cast<std::int64_t>(scratch));
    packed_w_ih = carver.take<std::byte>(static_cast<std::int64_t>(gemm_workspace<T>(rows, d.I, valid_GH)));
    if (d.segment > 0) {
      Carver none;
      Reserve<T>::take(none, z, d, segment_steps(d) * d.N);
      segment_reserve = carver.take<std::byte>(static_cast<std::int64_t>(none.used));
      forward_workspace = carver.take<std::byte>(
          static_cast<std::int64_t>(Forward<T>(d, nullptr, nullptr, nullptr, true).workspace_bytes()));
      forward_weights = carver.take<std::byte>(static_cast<std::int64_t>(recurrent_prepared_bytes(d)));
      kept_states = static_cast<const T*>(reserve_block);
    } else {
      Carver from{static_cast<std::byte*>(const_cast<void*>(reserve_block))};
      reserve = Reserve<T>::take(from, z, d, z.rows);
    }
    bytes = carver.used;
  }

  bool zoned(std::int64_t s) const { return desc.training && zoneout_rate(desc, s) > 0; }
  void run(const Arguments& a);
  void run_block(std::int64_t first, std::int64_t last, const Arguments& a);
  void prepare(const Arguments& a);
  void step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const;
  void take_outputs(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void zone_out(std::int64_t s, std::int64_t state, Range columns) const;
  void project(std::int64_t s, Range outputs) const;
  StepBackward<T> cell_step(std::int64_t s, Range units) const;
  void run_cell(std::int64_t s, Range units) const;
  void run_cell_second(std::int64_t s, Range units) const;
  void recur(std::int64_t s, Range units, Range outputs, const Arguments& a) const;
  void add_biases(const StepBackward<T>& p) const;
  void keep_gates(std::int64_t s, const StepBackward<T>& p) const;
  void add_weights(const Arguments& a);
  void add_recurrent_weight(T* to, bool add, Parallel& parallel);
  void multiply(Gemm<T> g, Parallel& parallel) const {
    g.precision = desc.precision;
    gemm<T>(g, gemm_scratch, parallel);
  }
  Gemm<T> x_product(const T* w_ih) const;
  void emit_x(const Arguments& a);
  void clear_padding(const Arguments& a);
  void emit_initial(const Arguments& a);
  void emit_biases(const Arguments& a);

  /// Packed row of step s's first in the block, and in the reserve.
  std::int64_t row(std::int64_t s) const { return order.base[s] - order.base[block]; }
  std::int64_t kept_row(std::int64_t s) const { return order.base[s] - order.base[segment]; }
  bool padded_gates() const { return z.H != z.valid_H; }

  const op::RecurrentDesc& desc;
  Sizes<T> z;
  Order order;
  T *x, *d_x, *unit, *d_unit, *panels, *projection_panels;
  T* d_state[op::kMaxStates] = {};  // of the states after the current step, in sorted order
  T* kept[op::kMaxStates] = {};     // the part that zoneout hands straight to the step before
  T *direct, *d_cell_h, *d_second, *d_entering;
  // Packed rows of the block, gates not padded: the products take no time for padding. A step's own are padded, and lie
  // apart where that is not the same.
  T *d_wx, *d_rh, *d_projected;
  T *step_d_wx, *step_d_rh;
  T *d_b_ih, *d_b_hh, *d_b_projection;
  T *mask, *keep;
  std::byte *gemm_scratch, *packed_w_ih;
  std::byte *segment_reserve = nullptr, *forward_workspace = nullptr, *forward_weights = nullptr;
  const T* kept_states = nullptr;  // before each segment
  Reserve<T> reserve;
  std::int64_t block = 0, block_end = 0, segment = 0;  // steps of those at hand
  std::size_t bytes = 0;
  std::uint64_t draw = 0;
};

template <class T>
void Backward<T>::prepare(const Arguments& a) {
  const std::int64_t H = z.valid_H, R = z.valid_R, first = z.cell.two_phase ? z.G - 1 : z.G;
  const T* r = input<T>(a, op::kInWhh);
  const auto& kernels = simd().recurrent<T>(desc.precision);
  // Transposed: units are R's columns, k runs over gates and their units.
  pack_all(kernels, {r, 1, 0, R, 1, 1, 0, first * H, first * H, R}, z.R, panels, *a.parallel);
  if (z.cell.two_phase)
    pack_all(kernels, {r + first * H * R, 1, 0, R, 1, 1, 0, H, H, R}, z.R, panels + first * z.H * z.R, *a.parallel);
  if (desc.projection)
    pack_all(kernels, {input<T>(a, op::kInProj), 1, 0, H, 1, 1, 0, R, R, H}, z.H, projection_panels, *a.parallel);
  pad_units(input<T>(a, op::kInUnit), z.cell.unit_parameters, H, 1, unit);
  std::fill_n(d_unit, z.cell.unit_parameters * z.H, T(0));
  std::fill_n(d_b_ih, z.G * z.H, T(0));
  std::fill_n(d_b_hh, z.G * z.H, T(0));
  std::fill_n(d_b_projection, z.R, T(0));
  for (std::int64_t s = 0; s < z.S; ++s) {
    const std::int64_t width = z.width(s), valid = z.valid_width(s);
    const T* from = input<T>(a, op::kInDFinal0 + static_cast<int>(s));
    std::fill_n(d_state[s], desc.N * width, T(0));
    for (std::int64_t j = 0; from && j < desc.N; ++j)
      std::copy_n(from + order.sequence[j] * valid, valid, d_state[s] + j * width);
  }
  const auto* counter = input<std::int64_t>(a, op::kInStep);
  draw = counter ? static_cast<std::uint64_t>(*counter) : 0;
  if (z.dropout) draw_dropout(desc, draw, order, z.R, mask);
  if (output<T>(a, op::kGradX)) gemm_pack<T>(x_product(input<T>(a, op::kInWih)), packed_w_ih, *a.parallel);
}

/// Adds the gradients that the caller has for this step's states.
template <class T>
void Backward<T>::take_outputs(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  const T* from = input<T>(a, state == 0 ? op::kInDOutput : op::kInDStates0 + static_cast<int>(state) - 1);
  const std::int64_t width = z.width(state), valid = z.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; from && j < order.active[s]; ++j) {
    const T* d = from + order.outside(j, s) * valid;
    T* to = d_state[state] + j * width;
    for (std::int64_t u = columns.first; u < last; ++u) to[u] += d[u];
  }
}

/// s' = keep*s + (1-keep)*cell:  d s takes keep*d s', the cell the rest.
template <class T>
void Backward<T>::zone_out(std::int64_t s, std::int64_t state, Range columns) const {
  if (!zoned(state)) return;
  const std::int64_t width = z.width(state), valid = z.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; j < order.active[s]; ++j) {
    draw_zoneout(desc, draw, state, order.outside(j, s), valid, columns, keep);
    T *d = d_state[state] + j * width, *old = kept[state] + j * width;
    for (std::int64_t u = columns.first; u < last; ++u) {
      old[u] = keep[u] != 0 ? d[u] : T(0);
      d[u] = keep[u] != 0 ? T(0) : d[u];
    }
  }
}

/// h = act(P m + b):  d(P m + b) = d h act'
template <class T>
void Backward<T>::project(std::int64_t s, Range outputs) const {
  const auto& kernels = simd().recurrent<T>(desc.precision);
  const std::int64_t count = outputs.last - outputs.first, rows = order.active[s];
  T* d = d_projected + row(s) * z.R + outputs.first;
  const T* y = reserve.projected + kept_row(s) * z.R + outputs.first;
  for (std::int64_t j = 0; j < rows; ++j) {
    std::copy_n(d_state[0] + j * z.R + outputs.first, count, d + j * z.R);
    kernels.activate_backward(desc.projection_activation, y + j * z.R, d + j * z.R, count);
  }
  kernels.add_column_sums(d, rows, z.R, count, d_b_projection + outputs.first);
}

template <class T>
StepBackward<T> Backward<T>::cell_step(std::int64_t s, Range units) const {
  const Reserve<T> r = reserve.from(kept_row(s), z);
  StepBackward<T> p;
  p.options = z.options;
  p.units = units;
  p.rows = order.active[s];
  p.H = z.H;
  p.saved = r.saved;
  p.unit = unit;
  for (std::int64_t i = 0; i < z.S; ++i) p.prev[i] = r.prev[i], p.d_next[i] = p.d_prev[i] = d_state[i];
  if (desc.projection) p.d_next[0] = d_cell_h;
  p.d_prev[0] = direct;
  p.d_wx = padded_gates() ? step_d_wx : d_wx + row(s) * z.G * z.H;
  p.d_rh = padded_gates() ? step_d_rh : d_rh + row(s) * z.G * z.H;
  p.d_unit = desc.peephole ? d_unit : nullptr;
  p.entering = r.entering;
  p.d_second = d_second;
  p.d_entering = d_entering;
  return p;
}

template <class T>
void Backward<T>::run_cell(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>(desc.precision);
  if (desc.projection)  // d m = P^T d(P m + b)
    kernels.multiply({order.active[s], z.valid_R, z.H, units, d_projected + row(s) * z.R, z.R, projection_panels,
                      nullptr, d_cell_h, false});
  kernels.backward[static_cast<int>(desc.cell)](cell_step(s, units));
}

/// What came through the second product of a two-phase cell.
template <class T>
void Backward<T>::run_cell_second(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>(desc.precision);
  const StepBackward<T> p = cell_step(s, units);
  const std::int64_t last = (z.G - 1) * z.H;
  kernels.multiply(
      {p.rows, z.valid_H, z.R, units, p.d_wx + last, z.G * z.H, panels + last * z.R, nullptr, d_second, false});
  kernels.backward_second[static_cast<int>(desc.cell)](p);
}

template <class T>
void Backward<T>::add_biases(const StepBackward<T>& p) const {
  const auto& kernels = simd().recurrent<T>(desc.precision);
  const std::int64_t GH = z.G * z.H, count = p.units.last - p.units.first;
  for (std::int64_t g = 0; g < z.G; ++g) {
    const std::int64_t column = g * z.H + p.units.first;
    kernels.add_column_sums(p.d_wx + column, p.rows, GH, count, d_b_ih + column);
    if (d_b_hh != d_b_ih) kernels.add_column_sums(p.d_rh + column, p.rows, GH, count, d_b_hh + column);
  }
}

/// A step's gates to their place in the block.
template <class T>
void Backward<T>::keep_gates(std::int64_t s, const StepBackward<T>& p) const {
  if (!padded_gates()) return;
  const std::int64_t first = p.units.first, count = std::min(p.units.last, z.valid_H) - first;
  for (std::int64_t j = 0; j < p.rows * z.G; ++j) {
    const std::int64_t from = j * z.H + first, to = (row(s) * z.G + j) * z.valid_H + first;
    std::copy_n(p.d_wx + from, count, d_wx + to);
    if (d_rh != d_wx) std::copy_n(p.d_rh + from, count, d_rh + to);
  }
}

/// d h[t-1] = mask * (R^T d rh, and what came through the second product) + what the cell and zoneout hand over
template <class T>
void Backward<T>::recur(std::int64_t s, Range units, Range outputs, const Arguments& a) const {
  const std::int64_t rows = order.active[s], GH = z.G * z.valid_H, first = z.cell.two_phase ? GH - z.valid_H : GH;
  const bool plain = !z.dropout && !z.cell.reads_hidden;  // the product is all there is
  simd()
      .recurrent<T>(desc.precision)
      .multiply({rows, first, z.R, outputs, d_rh + row(s) * GH, GH, panels, nullptr, plain ? d_state[0] : d_entering,
                 z.cell.two_phase});
  for (std::int64_t j = 0; !plain && j < rows; ++j)
    for (std::int64_t i = j * z.R + outputs.first; i < j * z.R + outputs.last; ++i) {
      d_state[0][i] = z.dropout ? d_entering[i] * mask[i] : d_entering[i];
      if (z.cell.reads_hidden) d_state[0][i] += direct[i];
    }
  const auto* resets = input<std::int32_t>(a, op::kInResets);
  for (std::int64_t i = 0; i < z.S; ++i) {
    const Range columns = i == 0 ? outputs : units;
    const std::int64_t width = z.width(i), last = std::min(columns.last, z.valid_width(i));
    for (std::int64_t j = 0; j < rows; ++j) {
      T* d = d_state[i] + j * width;
      for (std::int64_t u = columns.first; zoned(i) && u < last; ++u) d[u] += kept[i][j * width + u];
      if (resets && resets[order.outside(j, s)] != 0) std::fill(d + columns.first, d + columns.last, T(0));
    }
  }
}

/// One phase of a step. The first begins with what the step after it in the block has still to hand over, for the same
/// units; that is all of it for the step before the block.
template <class T>
void Backward<T>::step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const {
  if (phase == 0) {
    if (s + 1 < block_end) recur(s + 1, units, outputs, a);
    if (s < block) return;
    for (std::int64_t i = 0; i < z.S; ++i) {
      const Range columns = i == 0 ? outputs : units;
      take_outputs(s, i, columns, a);
      zone_out(s, i, columns);
    }
    if (desc.projection) return project(s, outputs);
  }
  if (z.cell.two_phase && phase == 1)
    run_cell_second(s, units);
  else
    run_cell(s, units);
  if (z.cell.two_phase && phase == 0) return;
  const StepBackward<T> p = cell_step(s, units);
  add_biases(p);
  keep_gates(s, p);
}

template <class T>
void Backward<T>::emit_initial(const Arguments& a) {
  for (std::int64_t i = 0; i < z.S; ++i) {
    T* out = output<T>(a, op::kGradState0 + static_cast<int>(i));
    const std::int64_t valid = z.valid_width(i);
    for (std::int64_t j = 0; out && j < desc.N; ++j)
      std::copy_n(d_state[i] + j * z.width(i), valid, out + order.sequence[j] * valid);
  }
}

/// A^T B over the rows of the block, added to those of the blocks after it.
template <class T>
Gemm<T> rows_product(std::int64_t rows, std::int64_t m, std::int64_t n, const T* a, std::int64_t a_col, const T* b,
                     std::int64_t b_row, T* c, std::int64_t c_row, bool add) {
  Gemm<T> g;
  g.m = m;
  g.n = n;
  g.k = rows;
  g.a = a;
  g.a_row = 1;
  g.a_col = a_col;
  g.b = b;
  g.b_row = b_row;
  g.c = c;
  g.c_row = c_row;
  g.accumulate = add;
  return g;
}

/// d R = d rh^T h; the last gate of a two-phase cell multiplied r*h instead.
template <class T>
void Backward<T>::add_recurrent_weight(T* to, bool add, Parallel& parallel) {
  const std::int64_t GH = z.G * z.valid_H, R = z.valid_R, first = z.cell.two_phase ? GH - z.valid_H : GH;
  const std::int64_t rows = row(block_end);
  const Reserve<T> r = reserve.from(kept_row(block), z);
  multiply(rows_product(rows, first, R, d_rh, GH, r.entering, z.R, to, R, add), parallel);
  if (z.cell.two_phase)
    multiply(rows_product(rows, z.valid_H, R, d_rh + first, GH, r.second, z.H, to + first * R, R, add), parallel);
}

template <class T>
void Backward<T>::add_weights(const Arguments& a) {
  const std::int64_t GH = z.G * z.valid_H, I = desc.I, rows = row(block_end);
  const bool add = block_end < order.steps;
  if (T* out = output<T>(a, op::kGradWih)) {
    const T* packed = gather_x(order, input<T>(a, op::kInX), I, block, block_end, x);
    multiply(rows_product(rows, GH, I, d_wx, GH, packed, I, out, I, add), *a.parallel);
  }
  if (T* out = output<T>(a, op::kGradWhh)) add_recurrent_weight(out, add, *a.parallel);
  if (T* out = output<T>(a, op::kGradProj)) {
    const T* m = reserve.from(kept_row(block), z).unprojected;
    multiply(rows_product(rows, z.valid_R, z.valid_H, d_projected, z.R, m, z.H, out, z.valid_H, add), *a.parallel);
  }
}

template <class T>
void Backward<T>::emit_biases(const Arguments& a) {
  if (T* out = output<T>(a, op::kGradBih)) unpad_units(d_b_ih, z.G, z.valid_H, 1, out);
  if (T* out = output<T>(a, op::kGradBhh)) unpad_units(d_b_hh, z.G, z.valid_H, 1, out);
  if (T* out = output<T>(a, op::kGradUnit)) unpad_units(d_unit, z.cell.unit_parameters, z.valid_H, 1, out);
  if (T* out = output<T>(a, op::kGradProjB)) unpad_units(d_b_projection, 1, z.valid_R, 1, out);
}

/// d x = d wx W
template <class T>
Gemm<T> Backward<T>::x_product(const T* w_ih) const {
  Gemm<T> g;
  g.precision = desc.precision;
  g.m = row(block_end);
  g.n = desc.I;
  g.k = z.G * z.valid_H;
  g.a = d_wx;
  g.a_row = g.k;
  g.b = w_ih;
  g.b_row = desc.I;
  g.c = d_x;
  g.c_row = desc.I;
  return g;
}

template <class T>
void Backward<T>::emit_x(const Arguments& a) {
  T* out = output<T>(a, op::kGradX);
  if (!out) return;
  const std::int64_t I = desc.I;
  Gemm<T> g = x_product(nullptr);
  if (order.dense) g.c = out + order.base[block] * I;
  gemm_packed<T>(g, packed_w_ih, *a.parallel);
  for (std::int64_t s = block; !order.dense && s < block_end; ++s)
    order.for_each_run(s, [&](std::int64_t j, std::int64_t count) {
      std::copy_n(d_x + (row(s) + j) * I, count * I, out + order.outside(j, s) * I);
    });
}

/// Past the lengths d x is zero.
template <class T>
void Backward<T>::clear_padding(const Arguments& a) {
  T* out = output<T>(a, op::kGradX);
  if (!out || order.dense) return;
  for (std::int64_t j = 0; j < desc.N; ++j)
    for (std::int64_t t = order.length[j]; t < desc.T; ++t)
      std::fill_n(out + (t * desc.N + order.sequence[j]) * desc.I, desc.I, T(0));
}

template <class T>
void Backward<T>::run_block(std::int64_t first, std::int64_t last, const Arguments& a) {
  const auto& kernels = simd().recurrent<T>(desc.precision);
  block = first;
  block_end = last;
  const std::int64_t phases = 1 + z.cell.two_phase + desc.projection;
  const int chunks = scan_chunks(desc, z, 1, a.parallel->threads());
  const auto units = chunk_ranges(kernels, z.H, 1, chunks), outputs = chunk_ranges(kernels, z.R, 1, chunks);
  Team(chunks).run((last - first) * phases + 1, *a.parallel, [&](int chunk, std::int64_t phase) {
    const auto c = static_cast<std::size_t>(chunk);
    step(last - 1 - phase / phases, phase % phases, units[c], outputs[c], a);
  });
  add_weights(a);
  emit_x(a);
}

template <class T>
void Backward<T>::run(const Arguments& a) {
  order.build(input<std::int32_t>(a, op::kInLengths));
  prepare(a);
  const void* inputs[op::kForwardInputs];
  void* const no_outputs[op::kForwardOutputs] = {};
  std::copy_n(a.inputs, op::kForwardInputs, inputs);
  const Arguments again{inputs, no_outputs, forward_workspace, a.parallel, a.queue, forward_weights};
  std::optional<Forward<T>> forward;
  if (desc.segment > 0) {
    recurrent_prepare(desc, again);
    forward.emplace(desc, forward_workspace, forward_weights, segment_reserve, true).begin(again);
  }

  const std::int64_t block_length = block_steps(desc), segment_length = segment_steps(desc);
  if (order.steps == 0) run_block(0, 0, a);  // nothing to add up: zeros
  std::int64_t last = order.steps;
  for (std::int64_t s = (order.steps - 1) / block_length * block_length; s >= 0 && last > 0; s -= block_length) {
    if (forward && (last == order.steps || last % segment_length == 0)) {
      segment = (last - 1) / segment_length * segment_length;
      const T* states = kept_states + segment / segment_length * Forward<T>::kept_states(desc, z);
      reserve = forward->again(segment, last, states, again);
    }
    run_block(s, last, a);
    last = s;
  }
  emit_initial(a);
  emit_biases(a);
  clear_padding(a);
}

}  // namespace

std::size_t recurrent_backward_workspace(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? Backward<double>(desc, nullptr, nullptr).bytes
                                  : Backward<float>(desc, nullptr, nullptr).bytes;
}

void recurrent_backward(const op::RecurrentDesc& desc, const Arguments& a) {
  if (desc.dtype == DType::f64)
    Backward<double>(desc, a.workspace, a.inputs[op::kInReserve]).run(a);
  else
    Backward<float>(desc, a.workspace, a.inputs[op::kInReserve]).run(a);
}

}  // namespace seqgpu::device::cpu
