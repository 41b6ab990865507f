#pragma once

#include "kernels/block/elements.cuh"
#include "kernels/block/fault.cuh"
#include "kernels/optimizer/launch.hpp"

// One update of all parameters.
//   work    one thread counts the step and prepares what all elements share; then one thread per four elements
//   memory  reads gradient, parameters, moments and average once, writes all but the gradient once
//   limits  none
namespace seqgpu::kernels {

/// What is the same for all elements of one update.
struct UpdateScalars {
  float rate, scale, limit, correct1, correct2;
  int active;
};
static_assert(sizeof(UpdateScalars) <= kUpdateWorkspace);

__global__ void prepare_update_kernel(UpdateArgs p) {
  auto& scalars = *static_cast<UpdateScalars*>(p.workspace);
  scalars.active = 0;
  if (has_faulted(p.faults)) return;
  StepControl& control = *p.control;
  control.step += 1;
  if (!control.finite) {
    control.skipped += 1;
    return;
  }
  control.updates += 1;
  const double t = static_cast<double>(control.updates), clip = static_cast<double>(p.clip_norm);
  scalars.active = 1;
  scalars.rate = static_cast<float>(static_cast<double>(p.rate) * control.rate_factor);
  scalars.scale = clip > 0 && control.norm > clip ? static_cast<float>(clip / control.norm) : 1.f;
  scalars.limit = p.clip_value > 0.f ? p.clip_value : HUGE_VALF;
  scalars.correct1 = 1.f / static_cast<float>(1 - pow(static_cast<double>(p.beta1), t));
  scalars.correct2 = 1.f / static_cast<float>(1 - pow(static_cast<double>(p.beta2), t));
}

/// One element: the parameter x and its moments m and v.
__device__ inline void update_element(const UpdateArgs& p, const UpdateScalars& s, float g, float& x, float& m,
                                      float& v) {
  g *= s.scale;
  g = g > s.limit ? s.limit : g < -s.limit ? -s.limit : g;
  if (p.kind == UpdateKind::adam_w) {
    x -= s.rate * p.weight_decay * x;
  } else {
    g += p.weight_decay * x;
  }
  switch (p.kind) {
    case UpdateKind::sgd: x -= s.rate * g; return;
    case UpdateKind::momentum:
      m = p.beta1 * m + g;
      x -= s.rate * (p.nesterov ? g + p.beta1 * m : m);
      return;
    case UpdateKind::rms_prop:
      m = p.beta2 * m + (1.f - p.beta2) * g * g;
      x -= s.rate * g / (sqrtf(m) + p.epsilon);
      return;
    case UpdateKind::adagrad:
      m += g * g;
      x -= s.rate * g / (sqrtf(m) + p.epsilon);
      return;
    case UpdateKind::adam:
    case UpdateKind::adam_w:
      m = p.beta1 * m + (1.f - p.beta1) * g;
      v = p.beta2 * v + (1.f - p.beta2) * g * g;
      x -= s.rate * (m * s.correct1) / (sqrtf(v * s.correct2) + p.epsilon);
      return;
  }
}

/// Elements first, first + threads, .. of kSize floats each, below count.
template <int kSize>
__device__ inline void update_units(const UpdateArgs& p, const UpdateScalars& s, std::int64_t first,
                                    std::int64_t count) {
  struct alignas(kSize * sizeof(float)) Unit {
    float x[kSize];
  };
  const auto unit = [](auto* pointer, std::int64_t i) -> auto& { return reinterpret_cast<Unit*>(pointer)[i]; };
  for (std::int64_t i = first + thread_of_grid(); i < count; i += threads_of_grid()) {
    const Unit g = reinterpret_cast<const Unit*>(p.gradient)[i];
    Unit x = unit(p.parameters, i), m{}, v{};
    if (p.moment1) m = unit(p.moment1, i);
    if (p.moment2) v = unit(p.moment2, i);
#pragma unroll
    for (int j = 0; j < kSize; ++j) update_element(p, s, g.x[j], x.x[j], m.x[j], v.x[j]);
    unit(p.parameters, i) = x;
    if (p.moment1) unit(p.moment1, i) = m;
    if (p.moment2) unit(p.moment2, i) = v;
    if (!p.average) continue;
    Unit average = unit(p.average, i);
#pragma unroll
    for (int j = 0; j < kSize; ++j) average.x[j] = p.ema_decay * average.x[j] + (1.f - p.ema_decay) * x.x[j];
    unit(p.average, i) = average;
  }
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) update_kernel(UpdateArgs p) {
  const UpdateScalars scalars = *static_cast<const UpdateScalars*>(p.workspace);
  if (!scalars.active) return;
  const bool vectors = is_aligned(p.gradient, p.parameters, p.moment1, p.moment2, p.average);
  if (vectors) update_units<4>(p, scalars, 0, p.count / 4);
  update_units<1>(p, scalars, vectors ? p.count / 4 * 4 : 0, p.count);
}

}  // namespace seqgpu::kernels
