#include <algorithm>

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "device/cpu/team.hpp"

// Backward: the scan from the last step to the first gives the gradient of every gate input, packed as in forward, its
// units shared out to a team; then one product per weight. d s is the gradient of the loss by s.
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
    const std::int64_t GH = z.G * z.H, rows = z.rows;
    order = Order::take(carver, d);
    x = carver.take<T>(rows * d.I);
    w_ih = carver.take<T>(GH * d.I);
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
    d_wx = carver.take<T>(rows * GH);
    d_rh = z.cell.split_gradient ? carver.take<T>(rows * GH) : d_wx;
    d_projected = carver.take<T>(d.projection ? rows * z.R : 0);
    d_b_ih = carver.take<T>(GH);
    d_b_hh = z.cell.split_gradient ? carver.take<T>(GH) : d_b_ih;
    d_b_projection = carver.take<T>(z.R);
    mask = carver.take<T>(z.dropout ? d.N * z.R : 0);
    keep = carver.take<T>(std::max(z.R, z.H));
    padded_gradient = carver.take<T>(GH * std::max({d.I, z.valid_R, std::int64_t{1}}));
    const std::size_t scratch =
        std::max({gemm_workspace<T>(GH, d.I, rows), gemm_workspace<T>(rows, d.I, GH),
                  gemm_workspace<T>(GH, z.valid_R, rows), gemm_workspace<T>(z.valid_R, z.valid_H, rows)});
    gemm_scratch = carver.take<std::byte>(static_cast<std::int64_t>(scratch));
    bytes = carver.used;
    Carver from{static_cast<std::byte*>(const_cast<void*>(reserve_block))};
    reserve = Reserve<T>::take(from, z, d, rows);
  }

  bool zoned(std::int64_t s) const { return desc.training && zoneout_rate(desc, s) > 0; }
  void run(const Arguments& a);
  void prepare(const Arguments& a);
  void step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const;
  void take_outputs(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void zone_out(std::int64_t s, std::int64_t state, Range columns) const;
  void project(std::int64_t s, Range outputs) const;
  StepBackward<T> cell_step(std::int64_t s, Range units) const;
  void run_cell(std::int64_t s, Range units) const;
  void run_cell_second(std::int64_t s, Range units) const;
  void recur(std::int64_t s, Range units, Range outputs, const Arguments& a) const;
  void add_biases(std::int64_t s, Range units) const;
  void emit_initial(const Arguments& a);
  void emit_weights(const Arguments& a);
  void emit_recurrent_weight(T* out, Parallel& parallel);
  void emit_x(const Arguments& a);

  const op::RecurrentDesc& desc;
  Sizes<T> z;
  Order order;
  T *x, *w_ih, *d_x, *unit, *d_unit, *panels, *projection_panels;
  T* d_state[op::kMaxStates] = {};  // of the states after the current step, in sorted order
  T* kept[op::kMaxStates] = {};     // the part that zoneout hands straight to the step before
  T *direct, *d_cell_h, *d_second, *d_entering;
  T *d_wx, *d_rh, *d_projected;  // packed rows
  T *d_b_ih, *d_b_hh, *d_b_projection;
  T *mask, *keep, *padded_gradient;
  std::byte* gemm_scratch;
  Reserve<T> reserve;
  std::size_t bytes = 0;
  std::uint64_t draw = 0;
};

template <class T>
void Backward<T>::prepare(const Arguments& a) {
  const std::int64_t H = z.valid_H, R = z.valid_R, first = z.cell.two_phase ? z.G - 1 : z.G;
  const T* r = input<T>(a, op::kInWhh);
  // Transposed: units are R's columns, k runs over gates and their padded units.
  pack_all({r, 1, 0, R, 1, first, H * R, H, z.H, R}, z.R, panels, *a.parallel);
  if (z.cell.two_phase)
    pack_all({r + first * H * R, 1, 0, R, 1, 1, 0, H, z.H, R}, z.R, panels + first * z.H * z.R, *a.parallel);
  if (desc.projection)
    pack_all({input<T>(a, op::kInProj), 1, 0, H, 1, 1, 0, R, R, H}, z.H, projection_panels, *a.parallel);
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
}

/// Adds the gradients that the caller has for this step's states.
template <class T>
void Backward<T>::take_outputs(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  const T* from = input<T>(a, state == 0 ? op::kInDOutput : op::kInDStates0 + static_cast<int>(state) - 1);
  const std::int64_t width = z.width(state), valid = z.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; from && j < order.active[s]; ++j) {
    const T* d = from + (order.time(j, s) * desc.N + order.sequence[j]) * valid;
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
    draw_zoneout(desc, draw, state, order.time(j, s) * desc.N + order.sequence[j], valid, columns, keep);
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
  const auto& kernels = simd().recurrent<T>();
  const std::int64_t count = outputs.last - outputs.first, rows = order.active[s];
  T* d = d_projected + order.base[s] * z.R + outputs.first;
  const T* y = reserve.projected + order.base[s] * z.R + outputs.first;
  for (std::int64_t j = 0; j < rows; ++j) {
    std::copy_n(d_state[0] + j * z.R + outputs.first, count, d + j * z.R);
    kernels.activate_backward(desc.projection_activation, y + j * z.R, d + j * z.R, count);
  }
  kernels.add_column_sums(d, rows, z.R, count, d_b_projection + outputs.first);
}

template <class T>
StepBackward<T> Backward<T>::cell_step(std::int64_t s, Range units) const {
  const Reserve<T> r = reserve.from(order.base[s], z);
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
  p.d_wx = d_wx + order.base[s] * z.G * z.H;
  p.d_rh = d_rh + order.base[s] * z.G * z.H;
  p.d_unit = desc.peephole ? d_unit : nullptr;
  p.entering = r.entering;
  p.d_second = d_second;
  p.d_entering = d_entering;
  return p;
}

template <class T>
void Backward<T>::run_cell(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>();
  if (desc.projection)  // d m = P^T d(P m + b)
    kernels.multiply({order.active[s], z.valid_R, z.H, units, d_projected + order.base[s] * z.R, z.R, projection_panels,
                      nullptr, d_cell_h, false});
  kernels.backward[static_cast<int>(desc.cell)](cell_step(s, units));
}

/// What came through the second product of a two-phase cell.
template <class T>
void Backward<T>::run_cell_second(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>();
  const StepBackward<T> p = cell_step(s, units);
  const std::int64_t last = (z.G - 1) * z.H;
  kernels.multiply({p.rows, z.H, z.R, units, p.d_wx + last, z.G * z.H, panels + last * z.R, nullptr, d_second, false});
  kernels.backward_second[static_cast<int>(desc.cell)](p);
}

template <class T>
void Backward<T>::add_biases(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>();
  const std::int64_t GH = z.G * z.H, at = order.base[s] * GH, count = units.last - units.first;
  for (std::int64_t g = 0; g < z.G; ++g) {
    const std::int64_t column = g * z.H + units.first;
    kernels.add_column_sums(d_wx + at + column, order.active[s], GH, count, d_b_ih + column);
    if (d_b_hh != d_b_ih) kernels.add_column_sums(d_rh + at + column, order.active[s], GH, count, d_b_hh + column);
  }
}

/// d h[t-1] = mask * (R^T d rh, and what came through the second product) + what the cell and zoneout hand over
template <class T>
void Backward<T>::recur(std::int64_t s, Range units, Range outputs, const Arguments& a) const {
  const std::int64_t rows = order.active[s], GH = z.G * z.H, first = z.cell.two_phase ? GH - z.H : GH;
  const bool plain = !z.dropout && !z.cell.reads_hidden;  // the product is all there is
  simd().recurrent<T>().multiply({rows, first, z.R, outputs, d_rh + order.base[s] * GH, GH, panels, nullptr,
                                  plain ? d_state[0] : d_entering, z.cell.two_phase});
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
      if (resets && resets[order.time(j, s) * desc.N + order.sequence[j]] != 0)
        std::fill(d + columns.first, d + columns.last, T(0));
    }
  }
}

/// One phase of a step. The first begins with what the step after it has still to hand over, for the same units.
template <class T>
void Backward<T>::step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const {
  if (phase == 0) {
    if (s + 1 < order.steps) recur(s + 1, units, outputs, a);
    if (s < 0) return;
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
  if (!z.cell.two_phase || phase == 1) add_biases(s, units);
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

/// d R = d rh^T h, over all valid rows; the last gate of a two-phase cell multiplied r*h instead.
template <class T>
void Backward<T>::emit_recurrent_weight(T* out, Parallel& parallel) {
  if (!out) return;
  const std::int64_t GH = z.G * z.H, R = z.valid_R, first = z.cell.two_phase ? GH - z.H : GH;
  T* to = z.H == z.valid_H ? out : padded_gradient;
  gemm<T>({.m = first,
           .n = R,
           .k = order.rows,
           .a = d_rh,
           .a_row = 1,
           .a_col = GH,
           .b = reserve.entering,
           .b_row = z.R,
           .c = to,
           .c_row = R},
          gemm_scratch, parallel);
  if (z.cell.two_phase)
    gemm<T>({.m = z.H,
             .n = R,
             .k = order.rows,
             .a = d_rh + first,
             .a_row = 1,
             .a_col = GH,
             .b = reserve.second,
             .b_row = z.H,
             .c = to + first * R,
             .c_row = R},
            gemm_scratch, parallel);
  if (to != out) unpad_units(to, z.G, z.valid_H, R, out);
}

template <class T>
void Backward<T>::emit_weights(const Arguments& a) {
  const std::int64_t GH = z.G * z.H, I = desc.I;
  if (T* out = output<T>(a, op::kGradWih)) {
    const T* packed = gather_x(order, input<T>(a, op::kInX), I, x);
    T* to = z.H == z.valid_H ? out : padded_gradient;
    gemm<T>({.m = GH,
             .n = I,
             .k = order.rows,
             .a = d_wx,
             .a_row = 1,
             .a_col = GH,
             .b = packed,
             .b_row = I,
             .c = to,
             .c_row = I},
            gemm_scratch, *a.parallel);
    if (to != out) unpad_units(to, z.G, z.valid_H, I, out);
  }
  emit_recurrent_weight(output<T>(a, op::kGradWhh), *a.parallel);
  if (T* out = output<T>(a, op::kGradBih)) unpad_units(d_b_ih, z.G, z.valid_H, 1, out);
  if (T* out = output<T>(a, op::kGradBhh)) unpad_units(d_b_hh, z.G, z.valid_H, 1, out);
  if (T* out = output<T>(a, op::kGradUnit)) unpad_units(d_unit, z.cell.unit_parameters, z.valid_H, 1, out);
  if (T* out = output<T>(a, op::kGradProj))
    gemm<T>({.m = z.valid_R,
             .n = z.valid_H,
             .k = order.rows,
             .a = d_projected,
             .a_row = 1,
             .a_col = z.R,
             .b = reserve.unprojected,
             .b_row = z.H,
             .c = out,
             .c_row = z.valid_H},
            gemm_scratch, *a.parallel);
  if (T* out = output<T>(a, op::kGradProjB)) unpad_units(d_b_projection, 1, z.valid_R, 1, out);
}

template <class T>
void Backward<T>::emit_x(const Arguments& a) {
  T* out = output<T>(a, op::kGradX);
  if (!out) return;
  const std::int64_t GH = z.G * z.H, I = desc.I;
  pad_units(input<T>(a, op::kInWih), z.G, z.valid_H, I, w_ih);
  T* packed = order.dense ? out : d_x;
  gemm<T>({.m = order.rows, .n = I, .k = GH, .a = d_wx, .a_row = GH, .b = w_ih, .b_row = I, .c = packed, .c_row = I},
          gemm_scratch, *a.parallel);
  if (order.dense) return;
  for (std::int64_t j = 0; j < desc.N; ++j)
    for (std::int64_t t = order.length[j]; t < desc.T; ++t)
      std::fill_n(out + (t * desc.N + order.sequence[j]) * I, I, T(0));
  for (std::int64_t s = 0; s < desc.T; ++s)
    for (std::int64_t j = 0; j < order.active[s]; ++j)
      std::copy_n(packed + (order.base[s] + j) * I, I, out + (order.time(j, s) * desc.N + order.sequence[j]) * I);
}

template <class T>
void Backward<T>::run(const Arguments& a) {
  const auto& kernels = simd().recurrent<T>();
  order.build(input<std::int32_t>(a, op::kInLengths));
  prepare(a);
  const std::int64_t phases = 1 + z.cell.two_phase + desc.projection;
  const int chunks = scan_chunks(desc, z, 1, a.parallel->threads());
  // One phase more, in which the first step hands over to the initial state.
  Team(chunks).run(order.steps * phases + 1, *a.parallel, [&](int chunk, std::int64_t phase) {
    step(order.steps - 1 - phase / phases, phase % phases, kernels.chunk_of(z.H, 1, chunk, chunks),
         kernels.chunk_of(z.R, 1, chunk, chunks), a);
  });
  emit_initial(a);
  emit_weights(a);
  emit_x(a);
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
