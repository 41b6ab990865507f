#include "device/cpu/recurrent_backward.hpp"

#include <algorithm>

#include "device/cpu/table.hpp"

// The scan: its units are shared out to a team.
namespace seqgpu::device::cpu {

template <class T>
BackwardWeights<T> BackwardWeights<T>::take(Carver& carver, const op::RecurrentDesc& desc) {
  const Sizes<T> z(desc);
  BackwardWeights w;
  w.panels = carver.take<T>(z.G * z.H * z.R);
  w.projection_panels = carver.take<T>(desc.projection ? z.H * z.valid_R : 0);
  w.unit = carver.take<T>(z.cell.unit_parameters * z.H);
  w.w_ih = carver.take<std::byte>(static_cast<std::int64_t>(gemm_workspace<T>(0, desc.I, z.G * z.valid_H)));
  return w;
}

template <class T>
void BackwardWeights<T>::fill(const op::RecurrentDesc& desc, const Arguments& a) {
  const Sizes<T> z(desc);
  const std::int64_t H = z.valid_H, R = z.valid_R, first = z.cell.two_phase ? z.G - 1 : z.G;
  const T* r = in<T>(a, op::kInWhh);
  const auto& kernels = simd().recurrent<T>(desc.precision);
  // Transposed: units are R's columns, k runs over gates and their units.
  pack_all(kernels, {r, 1, 0, R, 1, first * H, R}, z.R, panels, *a.parallel);
  if (z.cell.two_phase)
    pack_all(kernels, {r + first * H * R, 1, 0, R, 1, H, R}, z.R, panels + first * z.H * z.R, *a.parallel);
  if (desc.projection)
    pack_all(kernels, {in<T>(a, op::kInProj), 1, 0, H, 1, R, H}, z.H, projection_panels, *a.parallel);
  pad_units(in<T>(a, op::kInUnit), z.cell.unit_parameters, H, 1, unit);
  if (out<T>(a, op::kGradX))
    gemm_pack<T>(d_inputs_product<T>(z, desc, 0, nullptr, in<T>(a, op::kInWih)), w_ih, *a.parallel);
}

template <class T>
Backward<T>::Backward(const op::RecurrentDesc& part, Carver& workspace, Carver& reserve,
                      const BackwardWeights<T>& weights, const void* forward_weights, bool first)
    : desc_(part),
      z_(part),
      weights_(weights),
      block_(block_steps(part)),
      segment_(segment_steps(part)),
      first_(first) {
  const std::int64_t N = part.N, GH = z_.G * z_.H, valid_GH = z_.G * z_.valid_H, most = block_ * N;
  order_ = Order::take(workspace, part);
  x_ = workspace.take<T>(most * part.I);
  d_x_ = workspace.take<T>(most * part.I);
  for (std::int64_t s = 0; s < z_.S; ++s) d_state_[s] = workspace.take<T>(N * z_.width(s));
  for (std::int64_t s = 0; s < z_.S; ++s) kept_[s] = workspace.take<T>(zoned(s) ? N * z_.width(s) : 0);
  direct_ = workspace.take<T>(N * std::max(z_.R, z_.H));
  d_cell_h_ = workspace.take<T>(part.projection ? N * z_.H : 0);
  d_second_ = workspace.take<T>(z_.cell.two_phase ? N * z_.H : 0);
  d_entering_ = workspace.take<T>(N * z_.R);
  d_wx_ = workspace.take<T>(most * valid_GH);
  d_rh_ = z_.cell.split_gradient ? workspace.take<T>(most * valid_GH) : d_wx_;
  step_d_wx_ = workspace.take<T>(padded_gates() ? N * GH : 0);
  step_d_rh_ = z_.cell.split_gradient ? workspace.take<T>(padded_gates() ? N * GH : 0) : step_d_wx_;
  d_projected_ = workspace.take<T>(part.projection ? most * z_.R : 0);
  mask_ = workspace.take<T>(z_.dropout ? N * z_.R : 0);
  keep_ = workspace.take<T>(std::max(z_.R, z_.H));
  sums_.b_ih = workspace.take<T>(GH);
  sums_.b_hh = z_.cell.split_gradient ? workspace.take<T>(GH) : sums_.b_ih;
  sums_.unit = workspace.take<T>(z_.cell.unit_parameters * z_.H);
  sums_.b_projection = workspace.take<T>(z_.R);
  if (!first) {
    own_.w_ih = workspace.take<T>(valid_GH * part.I);
    own_.w_hh = workspace.take<T>(valid_GH * z_.valid_R);
    own_.projection = workspace.take<T>(part.projection ? z_.valid_R * z_.valid_H : 0);
  }
  const std::size_t scratch =
      std::max({gemm_workspace<T>(valid_GH, part.I, most), gemm_workspace<T>(valid_GH, z_.valid_R, most),
                gemm_workspace<T>(z_.valid_R, z_.valid_H, most)});
  gemm_scratch_ = workspace.take<std::byte>(static_cast<std::int64_t>(scratch));
  if (part.segment > 0) {
    kept_states_ = reserve.take<T>(segments_of(part) * Forward<T>::kept_states(part, z_));
    forward_.emplace(part, workspace, workspace, forward_weights, true);
    reserve_ = forward_->reserve();
  } else {
    reserve_ = Reserve<T>::take(reserve, z_, part, z_.rows);
  }
}

template <class T>
void Backward<T>::begin(const Order& batch, int part, int parts, int threads, const Arguments& a) {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  order_.deal(batch, part, parts);
  chunks_ = scan_chunks(desc_, z_, 1, threads);
  units_ = chunk_ranges(kernels, z_.H, 1, chunks_);
  outputs_ = chunk_ranges(kernels, z_.R, 1, chunks_);
  if (forward_) forward_->begin(batch, part, parts, chunks_);
  const auto to = [&](int slot, T* own) { return first_ || !out<T>(a, slot) ? out<T>(a, slot) : own; };
  sums_.w_ih = to(op::kGradWih, own_.w_ih);
  sums_.w_hh = to(op::kGradWhh, own_.w_hh);
  sums_.projection = to(op::kGradProj, own_.projection);
}

template <class T>
void Backward<T>::clear(const Arguments& a) {
  std::fill_n(sums_.unit, z_.cell.unit_parameters * z_.H, T(0));
  std::fill_n(sums_.b_ih, z_.G * z_.H, T(0));
  std::fill_n(sums_.b_hh, z_.G * z_.H, T(0));
  std::fill_n(sums_.b_projection, z_.R, T(0));
  for (std::int64_t s = 0; s < z_.S; ++s) {
    const std::int64_t width = z_.width(s), valid = z_.valid_width(s);
    const T* from = in<T>(a, op::kInDFinal0 + static_cast<int>(s));
    std::fill_n(d_state_[s], desc_.N * width, T(0));
    for (std::int64_t j = 0; from && j < desc_.N; ++j)
      std::copy_n(from + order_.sequence[j] * valid, valid, d_state_[s] + j * width);
  }
  const auto* counter = in<std::int64_t>(a, op::kInStep);
  draw_ = counter ? static_cast<std::uint64_t>(*counter) : 0;
  if (z_.dropout) draw_dropout(desc_, draw_, order_, z_.R, mask_);
}

/// Adds the gradients that the caller has for this step's states.
template <class T>
void Backward<T>::take_outputs(std::int64_t s, std::int64_t state, Range columns, const Arguments& a) const {
  const T* from = in<T>(a, state == 0 ? op::kInDOutput : op::kInDStates0 + static_cast<int>(state) - 1);
  const std::int64_t width = z_.width(state), valid = z_.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; from && j < order_.active[s]; ++j) {
    const T* d = from + order_.outside(j, s) * valid;
    T* to = d_state_[state] + j * width;
    for (std::int64_t u = columns.first; u < last; ++u) to[u] += d[u];
  }
}

/// s' = keep*s + (1-keep)*cell:  d s takes keep*d s', the cell the rest.
template <class T>
void Backward<T>::zone_out(std::int64_t s, std::int64_t state, Range columns) const {
  if (!zoned(state)) return;
  const std::int64_t width = z_.width(state), valid = z_.valid_width(state), last = std::min(columns.last, valid);
  for (std::int64_t j = 0; j < order_.active[s]; ++j) {
    draw_zoneout(desc_, draw_, state, order_.outside(j, s), valid, columns, keep_);
    T *d = d_state_[state] + j * width, *old = kept_[state] + j * width;
    for (std::int64_t u = columns.first; u < last; ++u) {
      old[u] = keep_[u] != 0 ? d[u] : T(0);
      d[u] = keep_[u] != 0 ? T(0) : d[u];
    }
  }
}

/// h = act(P m + b):  d(P m + b) = d h act'
template <class T>
void Backward<T>::project(std::int64_t s, Range outputs) const {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  const std::int64_t count = outputs.last - outputs.first, rows = order_.active[s];
  T* d = d_projected_ + row(s) * z_.R + outputs.first;
  const T* y = reserve_.projected + kept_row(s) * z_.R + outputs.first;
  for (std::int64_t j = 0; j < rows; ++j) {
    std::copy_n(d_state_[0] + j * z_.R + outputs.first, count, d + j * z_.R);
    kernels.activate_backward(desc_.projection_activation, y + j * z_.R, d + j * z_.R, count);
  }
  kernels.add_column_sums(d, rows, z_.R, count, sums_.b_projection + outputs.first);
}

template <class T>
StepBackward<T> Backward<T>::cell_step(std::int64_t s, Range units) const {
  const Reserve<T> r = reserve_.from(kept_row(s), z_);
  StepBackward<T> p;
  p.options = z_.options;
  p.units = units;
  p.rows = order_.active[s];
  p.H = z_.H;
  p.saved = r.saved;
  p.unit = weights_.unit;
  for (std::int64_t i = 0; i < z_.S; ++i) p.prev[i] = r.prev[i], p.d_next[i] = p.d_prev[i] = d_state_[i];
  if (desc_.projection) p.d_next[0] = d_cell_h_;
  p.d_prev[0] = direct_;
  p.d_wx = padded_gates() ? step_d_wx_ : d_wx_ + row(s) * z_.G * z_.H;
  p.d_rh = padded_gates() ? step_d_rh_ : d_rh_ + row(s) * z_.G * z_.H;
  p.d_unit = desc_.peephole ? sums_.unit : nullptr;
  p.entering = r.entering;
  p.d_second = d_second_;
  p.d_entering = d_entering_;
  return p;
}

template <class T>
void Backward<T>::run_cell(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  if (desc_.projection)  // d m = P^T d(P m + b)
    kernels.multiply({order_.active[s], z_.valid_R, z_.H, units, d_projected_ + row(s) * z_.R, z_.R,
                      weights_.projection_panels, nullptr, d_cell_h_, false});
  kernels.backward[static_cast<int>(desc_.cell)](cell_step(s, units));
}

/// What came through the second product of a two-phase cell.
template <class T>
void Backward<T>::run_cell_second(std::int64_t s, Range units) const {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  const StepBackward<T> p = cell_step(s, units);
  const std::int64_t last = (z_.G - 1) * z_.H;
  kernels.multiply({p.rows, z_.valid_H, z_.R, units, p.d_wx + last, z_.G * z_.H, weights_.panels + last * z_.R, nullptr,
                    d_second_, false});
  kernels.backward_second[static_cast<int>(desc_.cell)](p);
}

template <class T>
void Backward<T>::add_biases(const StepBackward<T>& p) const {
  const auto& kernels = simd().recurrent<T>(desc_.precision);
  const std::int64_t GH = z_.G * z_.H, count = p.units.last - p.units.first;
  for (std::int64_t g = 0; g < z_.G; ++g) {
    const std::int64_t column = g * z_.H + p.units.first;
    kernels.add_column_sums(p.d_wx + column, p.rows, GH, count, sums_.b_ih + column);
    if (sums_.b_hh != sums_.b_ih) kernels.add_column_sums(p.d_rh + column, p.rows, GH, count, sums_.b_hh + column);
  }
}

/// A step's gates to their place in the block.
template <class T>
void Backward<T>::keep_gates(std::int64_t s, const StepBackward<T>& p) const {
  if (!padded_gates()) return;
  const std::int64_t first = p.units.first, count = std::min(p.units.last, z_.valid_H) - first;
  for (std::int64_t j = 0; j < p.rows * z_.G; ++j) {
    const std::int64_t from = j * z_.H + first, to = (row(s) * z_.G + j) * z_.valid_H + first;
    std::copy_n(p.d_wx + from, count, d_wx_ + to);
    if (d_rh_ != d_wx_) std::copy_n(p.d_rh + from, count, d_rh_ + to);
  }
}

constexpr std::int64_t kFetchedRows = 4;

/// d h[t-1] = mask * (R^T d rh, and what came through the second product) + what the cell and zoneout hand over
template <class T>
void Backward<T>::recur(std::int64_t s, Range units, Range outputs, const Arguments& a) const {
  const std::int64_t rows = order_.active[s], GH = z_.G * z_.valid_H, first = z_.cell.two_phase ? GH - z_.valid_H : GH;
  const bool plain = !z_.dropout && !z_.cell.reads_hidden;  // the product is all there is
  for (std::int64_t i = 0; chunks_ > 1 && rows <= kFetchedRows && i < rows * GH; i += 64 / std::int64_t{sizeof(T)})
    __builtin_prefetch(d_rh_ + row(s) * GH + i);  // others wrote them: all at once, not one after the other
  simd()
      .recurrent<T>(desc_.precision)
      .multiply({rows, first, z_.R, outputs, d_rh_ + row(s) * GH, GH, weights_.panels, nullptr,
                 plain ? d_state_[0] : d_entering_, z_.cell.two_phase});
  for (std::int64_t j = 0; !plain && j < rows; ++j)
    for (std::int64_t i = j * z_.R + outputs.first; i < j * z_.R + outputs.last; ++i) {
      d_state_[0][i] = z_.dropout ? d_entering_[i] * mask_[i] : d_entering_[i];
      if (z_.cell.reads_hidden) d_state_[0][i] += direct_[i];
    }
  const auto* resets = in<std::int32_t>(a, op::kInResets);
  for (std::int64_t i = 0; i < z_.S; ++i) {
    const Range columns = i == 0 ? outputs : units;
    const std::int64_t width = z_.width(i), last = std::min(columns.last, z_.valid_width(i));
    for (std::int64_t j = 0; j < rows; ++j) {
      T* d = d_state_[i] + j * width;
      for (std::int64_t u = columns.first; zoned(i) && u < last; ++u) d[u] += kept_[i][j * width + u];
      if (resets && resets[order_.outside(j, s)] != 0) std::fill(d + columns.first, d + columns.last, T(0));
    }
  }
}

/// One phase of a step. The first begins with what the step after it in the block has still to hand over, for the same
/// units; that is all of it for the step before the block.
template <class T>
void Backward<T>::step(std::int64_t s, std::int64_t phase, Steps block, Range units, Range outputs,
                       const Arguments& a) const {
  if (phase == 0) {
    if (s + 1 < block.last) recur(s + 1, units, outputs, a);
    if (s < block.first) return;
    for (std::int64_t i = 0; i < z_.S; ++i) {
      const Range columns = i == 0 ? outputs : units;
      take_outputs(s, i, columns, a);
      zone_out(s, i, columns);
    }
    if (desc_.projection) return project(s, outputs);
  }
  if (z_.cell.two_phase && phase == 1)
    run_cell_second(s, units);
  else
    run_cell(s, units);
  if (z_.cell.two_phase && phase == 0) return;
  const StepBackward<T> p = cell_step(s, units);
  add_biases(p);
  keep_gates(s, p);
}

template <class T>
std::int64_t Backward<T>::segments() const {
  return forward_ && order_.steps > 0 ? (order_.steps + segment_ - 1) / segment_ : 1;
}

template <class T>
typename Backward<T>::Steps Backward<T>::steps_of(std::int64_t segment) const {
  const std::int64_t first = (segments() - 1 - segment) * segment_;
  return {first, std::min(first + segment_, order_.steps)};
}

template <class T>
std::int64_t Backward<T>::phases(std::int64_t segment) const {
  if (segment >= segments()) return 0;
  const Steps all = steps_of(segment);
  const std::int64_t steps = all.last - all.first;
  // Where there are no steps there is one block all the same: its products are the zeros that the sums begin with.
  const std::int64_t blocks = std::max<std::int64_t>((steps + block_ - 1) / block_, 1);
  return (segment == 0) + (forward_ ? forward_->phases_again(all.first, all.last) : 0) + steps * phases_of_step() +
         blocks * (1 + kProducts);
}

template <class T>
void Backward<T>::run(int chunk, std::int64_t segment, std::int64_t phase, const Arguments& a, const Arguments& again) {
  if (segment == 0 && phase-- == 0) {
    if (chunk == 0) clear(a);
    return;
  }
  const Steps all = steps_of(segment);
  if (forward_) {
    const std::int64_t phases = forward_->phases_again(all.first, all.last);
    const T* states = kept_states_ + all.first / segment_ * Forward<T>::kept_states(desc_, z_);
    if (phase < phases) {
      if (chunk < forward_->chunks()) forward_->run_again(chunk, phase, all.first, all.last, states, again);
      return;
    }
    phase -= phases;
  }
  const std::int64_t each = phases_of_step(), of_block = block_ * each + 1 + kProducts;
  const std::int64_t top =
      std::max(all.last - 1, all.first) / block_ * block_;  // the block of the last steps, maybe few
  const std::int64_t of_top = (all.last - top) * each + 1 + kProducts;
  if (phase < of_top) return run_block(chunk, phase, {top, all.last}, a);
  const std::int64_t first = top - (1 + (phase - of_top) / of_block) * block_;
  run_block(chunk, (phase - of_top) % of_block, {first, first + block_}, a);
}

template <class T>
void Backward<T>::run_block(int chunk, std::int64_t phase, Steps block, const Arguments& a) {
  const std::int64_t each = phases_of_step(), scan = (block.last - block.first) * each + 1;
  if (phase >= scan) return run_product(chunk, phase - scan, block, a);
  const auto c = static_cast<std::size_t>(chunk);
  const std::int64_t s = block.last - 1 - phase / each;
  if (s + 1 < block.last || s >= block.first) step(s, phase % each, block, units_[c], outputs_[c], a);
}

template <class T>
void Backward<T>::end(const Arguments& a) const {
  for (std::int64_t i = 0; i < z_.S; ++i) {
    T* d_state = out<T>(a, op::kGradState0 + static_cast<int>(i));
    const std::int64_t valid = z_.valid_width(i);
    for (std::int64_t j = 0; d_state && j < desc_.N; ++j)
      std::copy_n(d_state_[i] + j * z_.width(i), valid, d_state + order_.sequence[j] * valid);
  }
  T* d_x = out<T>(a, op::kGradX);  // zero past the lengths
  for (std::int64_t j = 0; d_x && order_.rows < desc_.N * desc_.T && j < desc_.N; ++j)
    for (std::int64_t t = order_.length[j]; t < desc_.T; ++t)
      std::fill_n(d_x + (t * order_.caller_N + order_.sequence[j]) * desc_.I, desc_.I, T(0));
}

template struct BackwardWeights<float>;
template struct BackwardWeights<double>;
template class Backward<float>;
template class Backward<double>;

}  // namespace seqgpu::device::cpu
