#include "device/cpu/recurrent_forward.hpp"

#include <algorithm>

#include "device/cpu/table.hpp"

// The scan goes over packed rows (see recurrent_plan.hpp), its units shared out to a team: every thread multiplies by
// its own units' weights, runs their gates, and hands on their states.
namespace seqgpu::device::cpu {

template <class T>
Forward<T>::Forward(const op::RecurrentDesc& part, Carver& workspace, Carver& reserve, const void* prepared, bool again)
    : desc_(part), z_(part), keep_all_(again || (part.training && part.segment == 0)) {
  const std::int64_t GH = z_.G * z_.H, rows = piece_steps(part) * part.N;
  order_ = Order::take(workspace, part);
  wx_ = workspace.take<T>(rows * GH);
  x_ = workspace.take<T>(rows * part.I);
  mask_ = workspace.take<T>(z_.dropout ? part.N * z_.R : 0);
  keep_ = workspace.take<T>(std::max(z_.R, z_.H));
  Carver weights{static_cast<std::byte*>(const_cast<void*>(prepared))};
  weights_ = Weights<T>::take(weights, z_, part);
  if (keep_all_) {
    reserve_ = Reserve<T>::take(reserve, z_, part, again ? segment_steps(part) * part.N : z_.rows);
  } else {
    reserve_ = Reserve<T>::take(workspace, z_, part, part.N);  // states of two steps in turn
    if (part.training) kept_ = reserve.take<T>(segments_of(part) * kept_states(part, z_));
  }
}

template <class T>
void Forward<T>::begin(const Order& batch, int part, int parts, int threads) {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  order_.deal(batch, part, parts);
  const std::int64_t gates = z_.cell.two_phase || desc_.projection ? 1 : z_.G;
  chunks_ = scan_chunks(desc_, z_, gates, threads);
  units_ = chunk_ranges(kernels, z_.H, gates, chunks_);
  outputs_ = desc_.projection ? chunk_ranges(kernels, z_.R, gates, chunks_) : units_;
}

template <class T>
void Forward<T>::draw_mask(const Arguments& a) {
  const auto* counter = in<std::int64_t>(a, op::kInStep);
  draw_ = counter ? static_cast<std::uint64_t>(*counter) : 0;
  if (z_.dropout) draw_dropout(desc_, draw_, order_, z_.R, mask_);
}

template <class T>
void Forward<T>::load_initial(const Arguments& a) {
  for (std::int64_t i = 0; i < z_.S; ++i) {
    const std::int64_t width = z_.width(i), valid = z_.valid_width(i), entered = order_.active[0];
    const T* from = in<T>(a, op::kInState0 + static_cast<int>(i));
    T* to = before(0, i);
    std::fill(to, to + entered * width, T(0));
    for (std::int64_t j = 0; from && j < entered; ++j)
      std::copy_n(from + order_.sequence[j] * valid, valid, to + j * width);
    auto* finals = out<T>(a, op::kOutFinal0 + i);
    for (std::int64_t j = entered; finals && j < desc_.N; ++j) {  // length 0: the first state is the last
      T* final = finals + order_.sequence[j] * valid;
      from ? std::copy_n(from + order_.sequence[j] * valid, valid, final) : std::fill_n(final, valid, T(0));
    }
    if (entered > 0) enter(0, i, {0, width}, a);
  }
}

/// What a step starts from: cleared where the caller says; dropout masks what recurs.
template <class T>
void Forward<T>::enter(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  const std::int64_t rows = order_.active[s], width = z_.width(state);
  T* states = before(s, state);
  const auto* resets = in<std::int32_t>(a, op::kInResets);
  for (std::int64_t j = 0; resets && j < rows; ++j)
    if (resets[order_.outside(j, s)] != 0)
      std::fill(states + j * width + columns.first, states + j * width + columns.last, T(0));
  if (!z_.dropout || state != 0) return;
  for (std::int64_t j = 0; j < rows; ++j)
    for (std::int64_t r = columns.first; r < columns.last; ++r)
      entering(s)[j * width + r] = states[j * width + r] * mask_[j * width + r];
}

template <class T>
void Forward<T>::multiply_cell(std::int64_t s, bool second, Range units, const T* wx) const {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  StepForward<T> p;
  p.options = z_.options;
  p.units = units;
  p.rows = order_.active[s];
  p.H = z_.H;
  p.k = z_.valid_R;
  p.wx = wx;
  p.entering = entering(s);
  p.R = z_.R;
  p.panels = weights_.panels;
  p.panels_last = weights_.panels + (z_.G - 1) * z_.H * z_.valid_R;
  p.bias = weights_.b_hh;
  p.unit = weights_.unit;
  for (std::int64_t i = 0; i < z_.S; ++i) p.prev[i] = before(s, i), p.next[i] = before(s + 1, i);
  const Reserve<T> r = reserve_.from(row(s), z_);
  if (desc_.projection) p.next[0] = r.unprojected;
  p.saved = keep_all_ || z_.cell.two_phase ? r.saved : nullptr;
  p.second = r.second;
  (second ? kernels.forward_second : kernels.forward)[static_cast<int>(desc_.cell)](p);
}

/// h = act(P m + b)
template <class T>
void Forward<T>::project(std::int64_t s, Range outputs) const {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  const Reserve<T> r = reserve_.from(row(s), z_);
  const std::int64_t rows = order_.active[s], count = outputs.last - outputs.first;
  kernels.multiply({rows, z_.valid_H, z_.R, outputs, r.unprojected, z_.H, weights_.projection_panels,
                    weights_.b_projection, r.projected, false});
  for (std::int64_t j = 0; j < rows; ++j) {
    T* h = r.projected + j * z_.R;
    kernels.activate(desc_.projection_activation, h + outputs.first, count);
    if (outputs.last > z_.valid_R) std::fill(h + z_.valid_R, h + z_.R, T(0));  // act(0) may not be 0
    std::copy_n(h + outputs.first, count, before(s + 1, 0) + j * z_.R + outputs.first);
  }
}

/// Training: a unit keeps its old value where drawn. Inference: the expectation of that.
template <class T>
void Forward<T>::zone_out(std::int64_t s, std::int64_t state, Range columns) const {
  const auto rate = static_cast<T>(zoneout_rate(desc_, state));
  if (!(rate > 0)) return;
  const std::int64_t width = z_.width(state), valid = z_.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; j < order_.active[s]; ++j) {
    T* next = before(s + 1, state) + j * width;
    const T* prev = before(s, state) + j * width;
    if (desc_.training) {
      const std::int64_t drawn = order_.outside(j, s);
      draw_zoneout(desc_, draw_, state, drawn, valid, columns, keep_);
      for (std::int64_t u = columns.first; u < last; ++u) next[u] = keep_[u] != 0 ? prev[u] : next[u];
    } else {
      for (std::int64_t u = columns.first; u < last; ++u) next[u] = rate * prev[u] + (T(1) - rate) * next[u];
    }
  }
}

/// A step's new state goes to the caller and to the next step.
template <class T>
void Forward<T>::publish(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  zone_out(s, state, columns);
  const std::int64_t width = z_.width(state), valid = z_.valid_width(state);
  const std::int64_t count = std::min(columns.last, valid) - columns.first;
  const T* next = before(s + 1, state) + columns.first;
  auto* all = out<T>(a, state == 0 ? op::kOutY : op::kOutStates0 + static_cast<int>(state) - 1);
  auto* final = out<T>(a, op::kOutFinal0 + state);
  for (std::int64_t j = 0; all && j < order_.active[s]; ++j)
    std::copy_n(next + j * width, count, all + order_.outside(j, s) * valid + columns.first);
  for (std::int64_t j = order_.active[s + 1]; final && j < order_.active[s]; ++j)
    std::copy_n(next + j * width, count, final + order_.sequence[j] * valid + columns.first);
  if (s + 1 < order_.steps) enter(s + 1, state, columns, a);
}

/// One phase of a step: the gates, for a two-phase cell the last gate after them, with a projection that.
template <class T>
void Forward<T>::step(std::int64_t s, std::int64_t phase, Range units, Range outputs, const T* wx,
                      const Arguments& a) const {
  const bool last = phase == (z_.cell.two_phase ? 1 : 0);
  if (!desc_.projection || phase == 0) multiply_cell(s, phase > 0, units, wx);
  for (std::int64_t i = 1; last && i < z_.S; ++i) publish(s, i, units, a);
  if (desc_.projection && phase > 0) project(s, outputs);
  if (desc_.projection ? phase > 0 : last) publish(s, 0, outputs, a);
}

/// Past the lengths outputs are zero.
template <class T>
void Forward<T>::clear_padding(const Arguments& a) const {
  if (order_.rows == desc_.N * desc_.T) return;
  for (std::int64_t i = 0; i < z_.S; ++i) {
    const std::int64_t valid = z_.valid_width(i);
    auto* all = out<T>(a, i == 0 ? op::kOutY : op::kOutStates0 + static_cast<int>(i) - 1);
    for (std::int64_t j = 0; all && j < desc_.N; ++j)
      for (std::int64_t t = order_.length[j]; t < desc_.T; ++t)
        std::fill_n(all + (t * order_.caller_N + order_.sequence[j]) * valid, valid, T(0));
  }
}

template <class T>
void Forward<T>::keep_states(std::int64_t s) {
  T* to = kept_ + s / segment_steps(desc_) * kept_states(desc_, z_);
  for (std::int64_t i = 0; i < z_.S; to += desc_.N * z_.width(i), ++i)
    std::copy_n(before(s, i), order_.active[s] * z_.width(i), to);
}

template <class T>
void Forward<T>::gather(int chunk, std::int64_t first, std::int64_t last, const Arguments& a) {
  for (std::int64_t s = first + chunk; !order_.in_place() && s < last; s += chunks_)
    gather_step(order_, in<T>(a, op::kInX), desc_.I, s, x_ + (order_.base[s] - order_.base[first]) * desc_.I);
}

template <class T>
void Forward<T>::multiply_inputs(int chunk, std::int64_t first, std::int64_t last, const Arguments& a) {
  const std::int64_t rows = order_.base[last] - order_.base[first];
  Gemm<T> g = inputs_product<T>(z_, desc_, x_, rows, nullptr, weights_.b_ih, wx_);
  if (order_.in_place()) {
    g.a = in<T>(a, op::kInX) + order_.outside(0, first) * desc_.I;
    g.a_row = order_.outside_rows(desc_.I);
  }
  for_each_group(z_.G, z_.H, units_[static_cast<std::size_t>(chunk)], gemm_group_columns<T>(desc_.precision),
                 [&](std::int64_t from, std::int64_t to) { gemm_packed_groups(g, weights_.w_ih, from, to); });
}

template <class T>
std::int64_t Forward<T>::phases_of(std::int64_t first, std::int64_t last) const {
  const std::int64_t piece = piece_steps(desc_), steps = last - first;
  return (steps + piece - 1) / piece * 2 + steps * phases_of_step();
}

template <class T>
void Forward<T>::run_phase(int chunk, std::int64_t phase, std::int64_t first, std::int64_t last, const Arguments& a) {
  const std::int64_t steps = piece_steps(desc_), each = phases_of_step(), of_piece = 2 + steps * each;
  const std::int64_t piece = first + phase / of_piece * steps, end = std::min(piece + steps, last);
  const std::int64_t within = phase % of_piece, s = piece + (within - 2) / each;
  if (within == 0) return gather(chunk, piece, end, a);
  if (within == 1) return multiply_inputs(chunk, piece, end, a);
  if (kept_ && chunk == 0 && (within - 2) % each == 0 && s % segment_steps(desc_) == 0) keep_states(s);
  const auto c = static_cast<std::size_t>(chunk);
  step(s, (within - 2) % each, units_[c], outputs_[c], wx_ + (order_.base[s] - order_.base[piece]) * z_.G * z_.H, a);
}

template <class T>
void Forward<T>::run(int chunk, std::int64_t phase, const Arguments& a) {
  if (phase == 0) {
    if (chunk > 0) return;
    draw_mask(a);
    load_initial(a);
  } else if (phase + 1 == phases()) {
    if (chunk == 0) clear_padding(a);
  } else {
    run_phase(chunk, phase - 1, 0, order_.steps, a);
  }
}

template <class T>
void Forward<T>::run_again(int chunk, std::int64_t phase, std::int64_t first, std::int64_t last, const T* states,
                           const Arguments& a) {
  if (phase > 0) return run_phase(chunk, phase - 1, first, last, a);
  if (chunk > 0) return;
  draw_mask(a);
  origin_ = first;
  for (std::int64_t i = 0; i < z_.S; states += desc_.N * z_.width(i), ++i) {
    std::copy_n(states, order_.active[first] * z_.width(i), before(first, i));
    enter(first, i, {0, z_.width(i)}, a);
  }
}

template <class T>
std::int64_t Forward<T>::kept_states(const op::RecurrentDesc& part, const Sizes<T>& z) {
  std::int64_t width = 0;
  for (std::int64_t i = 0; i < z.S; ++i) width += z.width(i);
  return part.N * width;
}

template <class T>
std::size_t Forward<T>::reserve_bytes(const op::RecurrentDesc& part) {
  Carver carver;
  const Sizes<T> z(part);
  if (part.segment > 0) {
    carver.take<T>(segments_of(part) * kept_states(part, z));
  } else {
    Reserve<T>::take(carver, z, part, z.rows);
  }
  return carver.used;
}

template class Forward<float>;
template class Forward<double>;

}  // namespace seqgpu::device::cpu
