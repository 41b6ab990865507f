#include "kernels/recurrent/step.cuh"

// The steps' kernels that know no cell: start and end of a scan, and the projection. One thread per (n, unit).
namespace seqgpu::kernels {
namespace {

template <int State>
__device__ void start_state(const ScanForward& p, const StepForward& w, std::int64_t n, std::int64_t unit) {
  const std::int64_t width = State == 0 ? p.R : p.H, i = n * width + unit;
  if (State >= w.states || unit >= width) return;
  if (State == 0) w.entering[i] = 0;  // a sequence of length 0 takes part in the products
  hand_on<State>(p, w, 0, n, unit, p.initial[State] ? p.initial[State][i] : 0.f);
}

__global__ void __launch_bounds__(kStepThreads) start_forward_kernel(ScanForward p, StepForward w) {
  for_each_unit(p.N, max(p.R, p.H), [&](std::int64_t n, std::int64_t unit) {
    start_state<0>(p, w, n, unit);
    start_state<1>(p, w, n, unit);
    start_state<2>(p, w, n, unit);
  });
}

/// h = act(P m + b)
__global__ void __launch_bounds__(kStepThreads) step_project_kernel(ScanForward p, StepForward w, std::int64_t s) {
  for_each_unit(p.N, p.R, [&](std::int64_t n, std::int64_t unit) {
    const StepPosition at = position(p, s, n);
    if (!at.active) {
      if (p.y) p.y[at.row * p.R + unit] = 0;
      if (p.reserve.entering) p.reserve.entering[at.row * p.R + unit] = 0;
      return;
    }
    const std::int64_t i = n * p.R + unit;
    const float bias = p.projection_bias ? p.projection_bias[unit] : 0.f;
    const float h = math::activate(p.projection_activation, w.projected[i] + bias);
    if (p.reserve.projected) p.reserve.projected[at.row * p.R + unit] = h;
    finish_state<0>(p, w, s, at.row, n, unit, w.state[0][i], h);
  });
}

template <int State>
__device__ void start_carry(const ScanBackward& p, const StepBackward& w, std::int64_t n, std::int64_t unit) {
  const std::int64_t width = State == 0 ? p.R : p.H, i = n * width + unit;
  if (State >= w.states || unit >= width) return;
  w.carry[State][i] = p.d_final[State] ? p.d_final[State][i] : 0.f;
}

__global__ void __launch_bounds__(kStepThreads) start_backward_kernel(ScanBackward p, StepBackward w) {
  for_each_unit(p.N, max(p.R, p.H), [&](std::int64_t n, std::int64_t unit) {
    start_carry<0>(p, w, n, unit);
    start_carry<1>(p, w, n, unit);
    start_carry<2>(p, w, n, unit);
  });
}

/// d(P m + b) = d h act'
__global__ void __launch_bounds__(kStepThreads)
    step_project_backward_kernel(ScanBackward p, StepBackward w, std::int64_t s) {
  for_each_unit(p.N, p.R, [&](std::int64_t n, std::int64_t unit) {
    const StepPosition at = position(p, s, n);
    const std::int64_t i = n * p.R + unit, row = at.row * p.R + unit;
    float d = 0;
    if (at.active) {
      const SplitGradient h = gradient_of_state<0>(p, w, s, at.row, n, unit);
      d = h.cell * math::slope(p.projection_activation, p.reserve.projected[row]);
      w.carry[0][i] = is_reset(p, at.row) ? 0.f : h.kept;
    }
    p.d_projected[row] = d;
    if (w.d_projected) w.d_projected[i] = d;
  });
}

template <int State>
__device__ void finish_carry(const ScanBackward& p, const StepBackward& w, std::int64_t n, std::int64_t unit) {
  const std::int64_t width = State == 0 ? p.R : p.H;
  if (State >= w.states || unit >= width || !p.d_initial[State]) return;
  p.d_initial[State][n * width + unit] = gradient_from_later<State>(p, w, -1, n, unit);
}

__global__ void __launch_bounds__(kStepThreads) finish_backward_kernel(ScanBackward p, StepBackward w) {
  for_each_unit(p.N, max(p.R, p.H), [&](std::int64_t n, std::int64_t unit) {
    finish_carry<0>(p, w, n, unit);
    finish_carry<1>(p, w, n, unit);
    finish_carry<2>(p, w, n, unit);
  });
}

}  // namespace

void start_forward(const ScanForward& p, const StepForward& w, Stream stream) {
  launch(start_forward_kernel, unit_shape(p.N, std::max(p.R, p.H), stream), p, w);
}

void step_project(const ScanForward& p, const StepForward& w, std::int64_t s, Stream stream) {
  launch(step_project_kernel, unit_shape(p.N, p.R, stream), p, w, s);
}

void start_backward(const ScanBackward& p, const StepBackward& w, Stream stream) {
  launch(start_backward_kernel, unit_shape(p.N, std::max(p.R, p.H), stream), p, w);
}

void step_project_backward(const ScanBackward& p, const StepBackward& w, std::int64_t s, Stream stream) {
  launch(step_project_backward_kernel, unit_shape(p.N, p.R, stream), p, w, s);
}

void finish_backward(const ScanBackward& p, const StepBackward& w, Stream stream) {
  launch(finish_backward_kernel, unit_shape(p.N, std::max(p.R, p.H), stream), p, w);
}

}  // namespace seqgpu::kernels
