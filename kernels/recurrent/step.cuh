#pragma once

#include <algorithm>

#include "kernels/block/cuda.cuh"
#include "kernels/math/philox.hpp"
#include "kernels/recurrent/launch.hpp"

// What the kernels of the stepwise strategy share: a thread for each unit of each sequence, where a sequence stands at
// a step, and what becomes of a state between two steps.
namespace seqgpu::kernels {

using cells::Regs;

inline constexpr int kStepThreads = 256;

/// A grid over [rows, width]: units along x, so that loads are coalesced; rows along y.
inline LaunchShape unit_shape(std::int64_t rows, std::int64_t width, Stream stream) {
  const std::int64_t threads = std::min<std::int64_t>(kStepThreads, (width + 31) / 32 * 32);
  return {.grid = dim3(static_cast<unsigned>((width + threads - 1) / threads),
                       static_cast<unsigned>(std::min<std::int64_t>(rows, 65535))),
          .block = dim3(static_cast<unsigned>(threads)),
          .stream = stream};
}

/// Calls body(row, unit) for what this thread of such a grid owns.
template <class Body>
__device__ void for_each_unit(std::int64_t rows, std::int64_t width, const Body& body) {
  const std::int64_t unit = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (unit >= width) return;
  for (std::int64_t row = blockIdx.y; row < rows; row += gridDim.y) body(row, unit);
}

__device__ inline Regs<float, 4> registers(const float4& v) { return {{v.x, v.y, v.z, v.w}}; }

template <int Count>
__device__ Regs<float, Count> load(const float* from) {
  if constexpr (Count == 4) {
    return registers(*reinterpret_cast<const float4*>(from));
  } else {
    Regs<float, Count> to;
#pragma unroll
    for (int i = 0; i < Count; ++i) to[i] = from[i];
    return to;
  }
}

template <int Count>
__device__ void store(float* to, const Regs<float, Count>& from) {
  if constexpr (Count == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(from[0], from[1], from[2], from[3]);
  } else {
#pragma unroll
    for (int i = 0; i < Count; ++i) to[i] = from[i];
  }
}

template <int Count>
__device__ Regs<float, Count> sum(const Regs<float, Count>& a, const Regs<float, Count>& b) {
  Regs<float, Count> c;
#pragma unroll
  for (int i = 0; i < Count; ++i) c[i] = a[i] + b[i];
  return c;
}

/// Where sequence n stands at step s: past its length, or at row (t, n). Past it, the row is one that no step of the
/// sequence has: (s, n).
struct StepPosition {
  bool active;
  std::int64_t row;
};

__device__ inline StepPosition position(const Scan& p, std::int64_t s, std::int64_t n) {
  const std::int64_t length = p.lengths ? p.lengths[n] : p.T;
  const bool active = s < length;
  return {active, (active && p.reverse ? length - 1 - s : s) * p.N + n};
}

__device__ inline bool is_reset(const Scan& p, std::int64_t row) { return p.resets && p.resets[row] != 0; }

/// The draw of one index. (An index into registers that is no constant would put them in memory.)
__device__ inline float draw_uniform(std::uint64_t key, const std::int64_t* step, std::int64_t index) {
  const auto at = static_cast<std::uint64_t>(index);
  const math::Philox4 group = math::philox_group(key, step ? static_cast<std::uint64_t>(*step) : 0, at / 4);
  const std::uint32_t low = at % 2 == 0 ? group.x[0] : group.x[1], high = at % 2 == 0 ? group.x[2] : group.x[3];
  return math::unit_interval(at % 4 < 2 ? low : high);
}

/// Whether zoneout keeps element `index` of [T, N, width] of a state. Training only.
template <int State>
__device__ bool is_kept(const Zoneout& z, std::int64_t index) {
  return z.rate[State] > 0 && draw_uniform(z.key[State], z.step, index) < z.rate[State];
}

template <int State>
__device__ float zone_out(const Zoneout& z, std::int64_t index, float previous, float next) {
  const float rate = z.rate[State];
  if (!(rate > 0)) return next;
  if (!z.draw) return rate * previous + (1.f - rate) * next;
  return is_kept<State>(z, index) ? previous : next;
}

/// Hands a state's value after step s - 1 to step s, or to the caller where that was the last.
template <int State>
__device__ void hand_on(const ScanForward& p, const StepForward& w, std::int64_t s, std::int64_t n, std::int64_t unit,
                        float value) {
  const std::int64_t width = State == 0 ? p.R : p.H, i = n * width + unit;
  const StepPosition next = position(p, s, n);
  if (!next.active) {
    if (p.final[State]) p.final[State][i] = value;
    return;
  }
  if (is_reset(p, next.row)) value = 0;
  const std::int64_t kept = next.row * width + unit;
  w.state[State][i] = value;
  if (p.reserve.previous[State]) p.reserve.previous[State][kept] = value;
  if constexpr (State == 0) {
    const float entering = p.mask ? value * p.mask[i] : value;
    w.entering[i] = entering;
    if (p.reserve.entering) p.reserve.entering[kept] = entering;
  }
}

/// A state's value after step s: zoneout, output, and on.
template <int State>
__device__ void finish_state(const ScanForward& p, const StepForward& w, std::int64_t s, std::int64_t row,
                             std::int64_t n, std::int64_t unit, float previous, float next) {
  const std::int64_t at = row * (State == 0 ? p.R : p.H) + unit;
  const float value = zone_out<State>(p.zoneout, at, previous, next);
  if constexpr (State == 0) {
    if (p.y) p.y[at] = value;
  } else {
    if (p.states[State - 1]) p.states[State - 1][at] = value;
  }
  hand_on<State>(p, w, s + 1, n, unit, value);
}

/// The gradient by a state after step s, as later steps give it.
template <int State>
__device__ float gradient_from_later(const ScanBackward& p, const StepBackward& w, std::int64_t s, std::int64_t n,
                                     std::int64_t unit) {
  const std::int64_t width = State == 0 ? p.R : p.H, i = n * width + unit;
  float d = w.carry[State][i];
  if constexpr (State == 0) {
    const StepPosition later = position(p, s + 1, n);
    // d h[t-1] = mask * (R^T d rh) and what passes by the product; nothing passes a reset (carry is 0 then).
    if (later.active && !is_reset(p, later.row)) d += p.mask ? w.d_entering[i] * p.mask[i] : w.d_entering[i];
  }
  return d;
}

/// The gradient by a state after step s, its own outputs' included, apart for the cell and for the state before.
struct SplitGradient {
  float cell, kept;  // s' = keep*s + (1-keep)*cell:  d s takes keep*d s', the cell the rest
};

template <int State>
__device__ SplitGradient gradient_of_state(const ScanBackward& p, const StepBackward& w, std::int64_t s,
                                           std::int64_t row, std::int64_t n, std::int64_t unit) {
  const std::int64_t at = row * (State == 0 ? p.R : p.H) + unit;
  const float* own = p.d_y;
  if constexpr (State > 0) own = p.d_states[State - 1];
  float d = gradient_from_later<State>(p, w, s, n, unit);
  if (own) d += own[at];
  return p.zoneout.draw && is_kept<State>(p.zoneout, at) ? SplitGradient{0, d} : SplitGradient{d, 0};
}

}  // namespace seqgpu::kernels
