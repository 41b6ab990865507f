#include "device/cpu/recurrent.hpp"

#include <algorithm>
#include <string>

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "device/cpu/team.hpp"
#include "seqgpu/error.hpp"

// Forward: one product for all inputs, then the scan over packed rows (see recurrent_plan.hpp), its units shared out to
// a team: every thread multiplies by its own units' weights, runs their gates, and hands on their states.
namespace seqgpu::device::cpu {

namespace {

template <class T>
struct Forward {
  Forward(const op::RecurrentDesc& d, void* workspace, void* reserve_block) : desc(d), z(d) {
    Carver carver{static_cast<std::byte*>(workspace)};
    order = Order::take(carver, d);
    wx = carver.take<T>(z.rows * z.G * z.H);
    x = carver.take<T>(z.rows * d.I);
    w_ih = carver.take<T>(z.G * z.H * d.I);
    b_ih = carver.take<T>(z.G * z.H);
    b_hh = carver.take<T>(z.G * z.H);
    unit = carver.take<T>(z.cell.unit_parameters * z.H);
    b_projection = carver.take<T>(z.R);
    panels = carver.take<T>(z.G * z.H * z.valid_R);
    projection_panels = carver.take<T>(d.projection ? z.R * z.valid_H : 0);
    mask = carver.take<T>(z.dropout ? d.N * z.R : 0);
    keep = carver.take<T>(std::max(z.R, z.H));
    gemm_scratch = carver.take<std::byte>(static_cast<std::int64_t>(gemm_workspace<T>(z.rows, z.G * z.H, d.I)));
    if (d.training) {
      Carver kept{static_cast<std::byte*>(reserve_block)};
      reserve = Reserve<T>::take(kept, z, d, z.rows);
    } else {
      reserve = Reserve<T>::take(carver, z, d, d.N);  // states of two steps in turn
    }
    bytes = carver.used;
  }

  void run(const Arguments& a);
  void prepare(const Arguments& a);
  void load_initial(const Arguments& a);
  void step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const;
  void multiply_cell(std::int64_t s, bool second, Range units) const;
  void project(std::int64_t s, Range outputs) const;
  void publish(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void zone_out(std::int64_t s, std::int64_t state, Range columns) const;
  void enter(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const;
  void clear_padding(const Arguments& a) const;

  /// Packed row of step s's first, in what is kept per step.
  std::int64_t row(std::int64_t s) const { return desc.training ? order.base[s] : 0; }
  /// A state before step s.
  T* before(std::int64_t s, std::int64_t state) const {
    return reserve.prev[state] + (desc.training ? order.base[s] : s % 2 * desc.N) * z.width(state);
  }
  T* entering(std::int64_t s) const { return z.dropout ? reserve.entering + order.base[s] * z.R : before(s, 0); }

  const op::RecurrentDesc& desc;
  Sizes<T> z;
  Order order;
  T *wx, *x, *w_ih, *b_ih, *b_hh, *unit, *b_projection, *panels, *projection_panels;
  T *mask, *keep;
  std::byte* gemm_scratch;
  Reserve<T> reserve;
  std::size_t bytes = 0;
  std::uint64_t draw = 0;  // Philox step
};

template <class T>
const T* input(const Arguments& a, int slot) {
  return static_cast<const T*>(a.inputs[slot]);
}

template <class T>
void Forward<T>::prepare(const Arguments& a) {
  const std::int64_t H = z.valid_H, R = z.valid_R;
  const T* w = input<T>(a, op::kInWih);
  const T* r = input<T>(a, op::kInWhh);
  pad_units(w, z.G, H, desc.I, w_ih);
  pad_units(input<T>(a, op::kInBih), z.G, H, 1, b_ih);
  pad_units(input<T>(a, op::kInBhh), z.G, H, 1, b_hh);
  pad_units(input<T>(a, op::kInUnit), z.cell.unit_parameters, H, 1, unit);
  const std::int64_t first = z.cell.two_phase ? z.G - 1 : z.G;
  pack_all({r, first, H * R, H, R, 1, 0, R, R, 1}, z.H, panels, *a.parallel);
  if (z.cell.two_phase) {
    const PanelSource<T> last{r + first * H * R, 1, 0, H, R, 1, 0, R, R, 1};
    pack_all(last, z.H, panels + first * z.H * R, *a.parallel);
  }
  if (desc.projection) {
    pad_units(input<T>(a, op::kInProjB), 1, R, 1, b_projection);
    pack_all({input<T>(a, op::kInProj), 1, 0, R, H, 1, 0, H, H, 1}, z.R, projection_panels, *a.parallel);
  }
  const T* packed = gather_x(order, input<T>(a, op::kInX), desc.I, x);
  gemm<T>({.m = order.rows,
           .n = z.G * z.H,
           .k = desc.I,
           .a = packed,
           .a_row = desc.I,
           .b = w_ih,
           .b_row = 1,
           .b_col = desc.I,
           .c = wx,
           .c_row = z.G * z.H,
           .bias = b_ih},
          gemm_scratch, *a.parallel);
  const auto* counter = input<std::int64_t>(a, op::kInStep);
  draw = counter ? static_cast<std::uint64_t>(*counter) : 0;
  if (z.dropout) draw_dropout(desc, draw, order, z.R, mask);
}

template <class T>
void Forward<T>::load_initial(const Arguments& a) {
  for (std::int64_t i = 0; i < z.S; ++i) {
    const std::int64_t width = z.width(i), valid = z.valid_width(i), entered = order.active[0];
    const T* from = input<T>(a, op::kInState0 + static_cast<int>(i));
    T* to = before(0, i);
    std::fill(to, to + entered * width, T(0));
    for (std::int64_t j = 0; from && j < entered; ++j)
      std::copy_n(from + order.sequence[j] * valid, valid, to + j * width);
    auto* out = static_cast<T*>(a.outputs[op::kOutFinal0 + i]);
    for (std::int64_t j = entered; out && j < desc.N; ++j) {  // length 0: the first state is the last
      T* final = out + order.sequence[j] * valid;
      from ? std::copy_n(from + order.sequence[j] * valid, valid, final) : std::fill_n(final, valid, T(0));
    }
    if (entered > 0) enter(0, i, {0, width}, a);
  }
}

/// What a step starts from: cleared where the caller says; dropout masks what recurs.
template <class T>
void Forward<T>::enter(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  const std::int64_t rows = order.active[s], width = z.width(state);
  T* states = before(s, state);
  const auto* resets = input<std::int32_t>(a, op::kInResets);
  for (std::int64_t j = 0; resets && j < rows; ++j)
    if (resets[order.time(j, s) * desc.N + order.sequence[j]] != 0)
      std::fill(states + j * width + columns.first, states + j * width + columns.last, T(0));
  if (!z.dropout || state != 0) return;
  for (std::int64_t j = 0; j < rows; ++j)
    for (std::int64_t r = columns.first; r < columns.last; ++r)
      entering(s)[j * width + r] = states[j * width + r] * mask[j * width + r];
}

template <class T>
void Forward<T>::multiply_cell(std::int64_t s, bool second, Range units) const {
  const auto& kernels = simd().recurrent<T>();
  StepForward<T> p;
  p.options = z.options;
  p.units = units;
  p.rows = order.active[s];
  p.H = z.H;
  p.k = z.valid_R;
  p.wx = wx + order.base[s] * z.G * z.H;
  p.entering = entering(s);
  p.R = z.R;
  p.panels = panels;
  p.panels_last = panels + (z.G - 1) * z.H * z.valid_R;
  p.bias = b_hh;
  p.unit = unit;
  for (std::int64_t i = 0; i < z.S; ++i) p.prev[i] = before(s, i), p.next[i] = before(s + 1, i);
  const Reserve<T> r = reserve.from(row(s), z);
  if (desc.projection) p.next[0] = r.unprojected;
  p.saved = desc.training || z.cell.two_phase ? r.saved : nullptr;
  p.second = r.second;
  (second ? kernels.forward_second : kernels.forward)[static_cast<int>(desc.cell)](p);
}

/// h = act(P m + b)
template <class T>
void Forward<T>::project(std::int64_t s, Range outputs) const {
  const auto& kernels = simd().recurrent<T>();
  const Reserve<T> r = reserve.from(row(s), z);
  const std::int64_t rows = order.active[s], count = outputs.last - outputs.first;
  kernels.multiply(
      {rows, z.valid_H, z.R, outputs, r.unprojected, z.H, projection_panels, b_projection, r.projected, false});
  for (std::int64_t j = 0; j < rows; ++j) {
    T* h = r.projected + j * z.R;
    kernels.activate(desc.projection_activation, h + outputs.first, count);
    if (outputs.last > z.valid_R) std::fill(h + z.valid_R, h + z.R, T(0));  // act(0) may not be 0
    std::copy_n(h + outputs.first, count, before(s + 1, 0) + j * z.R + outputs.first);
  }
}

/// Training: a unit keeps its old value where drawn. Inference: the expectation of that.
template <class T>
void Forward<T>::zone_out(std::int64_t s, std::int64_t state, Range columns) const {
  const auto rate = static_cast<T>(zoneout_rate(desc, state));
  if (!(rate > 0)) return;
  const std::int64_t width = z.width(state), valid = z.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; j < order.active[s]; ++j) {
    T* next = before(s + 1, state) + j * width;
    const T* prev = before(s, state) + j * width;
    if (desc.training) {
      const std::int64_t drawn = order.time(j, s) * desc.N + order.sequence[j];
      draw_zoneout(desc, draw, state, drawn, valid, columns, keep);
      for (std::int64_t u = columns.first; u < last; ++u) next[u] = keep[u] != 0 ? prev[u] : next[u];
    } else {
      for (std::int64_t u = columns.first; u < last; ++u) next[u] = rate * prev[u] + (T(1) - rate) * next[u];
    }
  }
}

/// A step's new state goes to the caller and to the next step.
template <class T>
void Forward<T>::publish(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  zone_out(s, state, columns);
  const std::int64_t width = z.width(state), valid = z.valid_width(state);
  const std::int64_t count = std::min(columns.last, valid) - columns.first;
  const T* next = before(s + 1, state) + columns.first;
  auto* all = static_cast<T*>(a.outputs[state == 0 ? op::kOutY : op::kOutStates0 + static_cast<int>(state) - 1]);
  auto* final = static_cast<T*>(a.outputs[op::kOutFinal0 + state]);
  for (std::int64_t j = 0; all && j < order.active[s]; ++j)
    std::copy_n(next + j * width, count, all + (order.time(j, s) * desc.N + order.sequence[j]) * valid + columns.first);
  for (std::int64_t j = order.active[s + 1]; final && j < order.active[s]; ++j)
    std::copy_n(next + j * width, count, final + order.sequence[j] * valid + columns.first);
  if (s + 1 < order.steps) enter(s + 1, state, columns, a);
}

/// One phase of a step: the gates, for a two-phase cell the last gate after them, with a projection that.
template <class T>
void Forward<T>::step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const Arguments& a) const {
  const bool last = phase == (z.cell.two_phase ? 1 : 0);
  if (!desc.projection || phase == 0) multiply_cell(s, phase > 0, units);
  for (std::int64_t i = 1; last && i < z.S; ++i) publish(s, i, units, a);
  if (desc.projection && phase > 0) project(s, outputs);
  if (desc.projection ? phase > 0 : last) publish(s, 0, outputs, a);
}

/// Past the lengths outputs are zero.
template <class T>
void Forward<T>::clear_padding(const Arguments& a) const {
  if (order.rows == desc.N * desc.T) return;
  for (std::int64_t i = 0; i < z.S; ++i) {
    const std::int64_t valid = z.valid_width(i);
    auto* all = static_cast<T*>(a.outputs[i == 0 ? op::kOutY : op::kOutStates0 + static_cast<int>(i) - 1]);
    for (std::int64_t j = 0; all && j < desc.N; ++j)
      for (std::int64_t t = order.length[j]; t < desc.T; ++t)
        std::fill_n(all + (t * desc.N + order.sequence[j]) * valid, valid, T(0));
  }
}

template <class T>
void Forward<T>::run(const Arguments& a) {
  const auto& kernels = simd().recurrent<T>();
  order.build(input<std::int32_t>(a, op::kInLengths));
  prepare(a);
  load_initial(a);
  const std::int64_t phases = 1 + z.cell.two_phase + desc.projection;
  const std::int64_t gates = z.cell.two_phase || desc.projection ? 1 : z.G;
  const int chunks = scan_chunks(desc, z, gates, a.parallel->threads());
  Team(chunks).run(order.steps * phases, *a.parallel, [&](int chunk, std::int64_t phase) {
    const Range units = kernels.chunk_of(z.H, gates, chunk, chunks);
    const Range outputs = desc.projection ? kernels.chunk_of(z.R, gates, chunk, chunks) : units;
    step(phase / phases, phase % phases, units, outputs, a);
  });
  clear_padding(a);
}

template <class T>
std::size_t reserve_bytes(const op::RecurrentDesc& desc) {
  Carver carver;
  const Sizes<T> z(desc);
  Reserve<T>::take(carver, z, desc, z.rows);
  return carver.used;
}

}  // namespace

std::size_t recurrent_reserve_bytes(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? reserve_bytes<double>(desc) : reserve_bytes<float>(desc);
}

std::size_t recurrent_forward_workspace(const op::RecurrentDesc& desc) {
  return desc.dtype == DType::f64 ? Forward<double>(desc, nullptr, nullptr).bytes
                                  : Forward<float>(desc, nullptr, nullptr).bytes;
}

void recurrent_forward(const op::RecurrentDesc& desc, const Arguments& a) {
  if (desc.projection && cells::traits_of(desc.cell).reads_hidden)
    throw Error(
        ErrorCode::invalid_argument, "recurrent", "projection",
        std::string("does not fit cell ") + to_string(desc.cell) + ", which reads h unit by unit; use lstm or elman");
  if (desc.dtype == DType::f64)
    Forward<double>(desc, a.workspace, a.outputs[op::kOutReserve]).run(a);
  else
    Forward<float>(desc, a.workspace, a.outputs[op::kOutReserve]).run(a);
}

}  // namespace seqgpu::device::cpu
