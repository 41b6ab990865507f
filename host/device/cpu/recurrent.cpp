#include "device/cpu/recurrent.hpp"

#include <algorithm>
#include <string>

#include "device/cpu/gemm.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "seqgpu/error.hpp"

// Forward: one product for all inputs, then the scan over packed rows (see recurrent_plan.hpp).
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
    for (std::int64_t s = 0; s < z.S; ++s) state[s] = carver.take<T>(d.N * z.width(s));
    mask = carver.take<T>(z.dropout ? d.N * z.R : 0);
    keep = carver.take<T>(std::max(z.R, z.H));
    gemm_scratch = carver.take<std::byte>(static_cast<std::int64_t>(gemm_workspace<T>(z.rows, z.G * z.H, d.I)));
    if (d.training) {
      Carver kept{static_cast<std::byte*>(reserve_block)};
      reserve = Reserve<T>::take(kept, z, d, z.rows);
    } else {
      reserve = Reserve<T>::take(carver, z, d, d.N);
    }
    bytes = carver.used;
  }

  void run(const Arguments& a);
  void prepare(const Arguments& a);
  void load_initial(const Arguments& a);
  void enter_step(std::int64_t s, const Reserve<T>& r, const std::int32_t* resets);
  void run_cell(std::int64_t s, const Reserve<T>& r);
  void zone_out(std::int64_t s, const Reserve<T>& r);
  void emit_step(std::int64_t s, const Arguments& a);
  void emit_final(const Arguments& a);

  const op::RecurrentDesc& desc;
  Sizes<T> z;
  Order order;
  T *wx, *x, *w_ih, *b_ih, *b_hh, *unit, *b_projection, *panels, *projection_panels;
  T* state[op::kMaxStates] = {};  // current, in sorted order
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
  const auto& kernels = simd().recurrent<T>();
  const std::int64_t H = z.valid_H, R = z.valid_R;
  const T* w = input<T>(a, op::kInWih);
  const T* r = input<T>(a, op::kInWhh);
  pad_units(w, z.G, H, desc.I, w_ih);
  pad_units(input<T>(a, op::kInBih), z.G, H, 1, b_ih);
  pad_units(input<T>(a, op::kInBhh), z.G, H, 1, b_hh);
  pad_units(input<T>(a, op::kInUnit), z.cell.unit_parameters, H, 1, unit);
  const std::int64_t first = z.cell.two_phase ? z.G - 1 : z.G;
  kernels.pack_panels({r, first, H * R, H, R, 1, 0, R, R, 1}, panels);
  if (z.cell.two_phase) kernels.pack_panels({r + first * H * R, 1, 0, H, R, 1, 0, R, R, 1}, panels + first * z.H * R);
  if (desc.projection) {
    pad_units(input<T>(a, op::kInProjB), 1, R, 1, b_projection);
    kernels.pack_panels({input<T>(a, op::kInProj), 1, 0, R, H, 1, 0, H, H, 1}, projection_panels);
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
  for (std::int64_t s = 0; s < z.S; ++s) {
    const std::int64_t width = z.width(s), valid = z.valid_width(s);
    const T* from = input<T>(a, op::kInState0 + static_cast<int>(s));
    std::fill(state[s], state[s] + desc.N * width, T(0));
    for (std::int64_t j = 0; from && j < desc.N; ++j)
      std::copy_n(from + order.sequence[j] * valid, valid, state[s] + j * width);
  }
}

/// Current states become this step's previous ones, cleared where the caller says; dropout masks what recurs.
template <class T>
void Forward<T>::enter_step(std::int64_t s, const Reserve<T>& r, const std::int32_t* resets) {
  const std::int64_t rows = order.active[s];
  for (std::int64_t i = 0; i < z.S; ++i) std::copy_n(state[i], rows * z.width(i), r.prev[i]);
  for (std::int64_t j = 0; resets && j < rows; ++j) {
    if (resets[order.time(j, s) * desc.N + order.sequence[j]] == 0) continue;
    for (std::int64_t i = 0; i < z.S; ++i) std::fill_n(r.prev[i] + j * z.width(i), z.width(i), T(0));
  }
  if (z.dropout)
    for (std::int64_t i = 0; i < rows * z.R; ++i) r.entering[i] = r.prev[0][i] * mask[i];
}

template <class T>
void Forward<T>::run_cell(std::int64_t s, const Reserve<T>& r) {
  const auto& kernels = simd().recurrent<T>();
  StepForward<T> p;
  p.options = z.options;
  p.rows = order.active[s];
  p.H = z.H;
  p.k = z.valid_R;
  p.wx = wx + order.base[s] * z.G * z.H;
  p.entering = r.entering;
  p.R = z.R;
  p.panels = panels;
  p.panels_last = panels + (z.G - 1) * z.H * z.valid_R;
  p.bias = b_hh;
  p.unit = unit;
  for (std::int64_t i = 0; i < z.S; ++i) p.prev[i] = r.prev[i], p.next[i] = state[i];
  if (desc.projection) p.next[0] = r.unprojected;
  p.saved = desc.training || z.cell.two_phase ? r.saved : nullptr;
  p.second = r.second;
  kernels.forward[static_cast<int>(desc.cell)](p);
  if (!desc.projection) return;
  kernels.multiply({p.rows, z.valid_H, z.R, r.unprojected, z.H, projection_panels, b_projection, r.projected, false});
  kernels.activate(desc.projection_activation, r.projected, p.rows * z.R);
  if (z.R > z.valid_R)  // act(0) may not be 0
    for (std::int64_t j = 0; j < p.rows; ++j)
      std::fill(r.projected + j * z.R + z.valid_R, r.projected + (j + 1) * z.R, T(0));
  std::copy_n(r.projected, p.rows * z.R, state[0]);
}

/// Training: a unit keeps its old value where drawn. Inference: the expectation of that.
template <class T>
void Forward<T>::zone_out(std::int64_t s, const Reserve<T>& r) {
  for (std::int64_t i = 0; i < z.S; ++i) {
    const auto rate = static_cast<T>(zoneout_rate(desc, i));
    if (!(rate > 0)) continue;
    const std::int64_t width = z.width(i), valid = z.valid_width(i);
    for (std::int64_t j = 0; j < order.active[s]; ++j) {
      T* next = state[i] + j * width;
      const T* prev = r.prev[i] + j * width;
      if (desc.training) {
        draw_zoneout(desc, draw, i, order.time(j, s) * desc.N + order.sequence[j], valid, keep);
        for (std::int64_t u = 0; u < valid; ++u) next[u] = keep[u] != 0 ? prev[u] : next[u];
      } else {
        for (std::int64_t u = 0; u < valid; ++u) next[u] = rate * prev[u] + (T(1) - rate) * next[u];
      }
    }
  }
}

template <class T>
void Forward<T>::emit_step(std::int64_t s, const Arguments& a) {
  for (std::int64_t i = 0; i < z.S; ++i) {
    auto* out = static_cast<T*>(a.outputs[i == 0 ? op::kOutY : op::kOutStates0 + static_cast<int>(i) - 1]);
    const std::int64_t valid = z.valid_width(i);
    for (std::int64_t j = 0; out && j < order.active[s]; ++j)
      std::copy_n(state[i] + j * z.width(i), valid, out + (order.time(j, s) * desc.N + order.sequence[j]) * valid);
  }
}

template <class T>
void Forward<T>::emit_final(const Arguments& a) {
  for (std::int64_t i = 0; i < z.S; ++i) {
    auto* out = static_cast<T*>(a.outputs[op::kOutFinal0 + i]);
    const std::int64_t valid = z.valid_width(i);
    for (std::int64_t j = 0; out && j < desc.N; ++j)
      std::copy_n(state[i] + j * z.width(i), valid, out + order.sequence[j] * valid);
    // Past the lengths outputs are zero.
    auto* all = static_cast<T*>(a.outputs[i == 0 ? op::kOutY : op::kOutStates0 + static_cast<int>(i) - 1]);
    for (std::int64_t j = 0; all && j < desc.N; ++j)
      for (std::int64_t t = order.length[j]; t < desc.T; ++t)
        std::fill_n(all + (t * desc.N + order.sequence[j]) * valid, valid, T(0));
  }
}

template <class T>
void Forward<T>::run(const Arguments& a) {
  order.build(input<std::int32_t>(a, op::kInLengths));
  prepare(a);
  load_initial(a);
  const auto* resets = input<std::int32_t>(a, op::kInResets);
  for (std::int64_t s = 0; s < desc.T && order.active[s] > 0; ++s) {
    const Reserve<T> r = reserve.from(desc.training ? order.base[s] : 0, z);
    enter_step(s, r, resets);
    run_cell(s, r);
    zone_out(s, r);
    emit_step(s, a);
  }
  emit_final(a);
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
