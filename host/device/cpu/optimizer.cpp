#include <algorithm>
#include <cmath>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/instantiate.hpp"
#include "device/cpu/table.hpp"

// The end of a training step: the gradient's norm, then one pass that updates everything.
namespace seqgpu::device::cpu {

template <class T>
void compute(const op::GradientNormDesc& d, const Arguments& a) {
  const T* gradient = in<T>(a, 0);
  auto* sums = static_cast<double*>(a.workspace);
  const std::int64_t tiles = tiles_of(d.count);
  a.parallel->for_each(tiles, [&](std::int64_t tile) {
    const std::int64_t begin = tile * kTile, end = std::min(d.count, begin + kTile);
    sums[tile] = simd().elementwise<T>().sum_squares(gradient + begin, end - begin);
  });
  double total = 0;
  for (std::int64_t tile = 0; tile < tiles; ++tile) total += sums[tile];
  auto* control = out<op::Control>(a, 0);
  control->norm = std::sqrt(total);
  control->finite = std::isfinite(total) ? 1 : 0;
}

template <class T>
void compute(const op::OptimizerDesc& d, const Arguments& a) {
  auto* control = out<op::Control>(a, 4);
  control->step += 1;
  if (!control->finite) {
    control->skipped += 1;
    return;
  }
  control->updates += 1;
  OptimizerPass<T> s;
  s.kind = d.kind;
  s.nesterov = d.nesterov;
  const double t = static_cast<double>(control->updates);
  s.rate = static_cast<T>(static_cast<double>(d.rate) * control->rate_factor);
  s.beta1 = static_cast<T>(d.beta1);
  s.beta2 = static_cast<T>(d.beta2);
  s.epsilon = static_cast<T>(d.epsilon);
  s.decay = static_cast<T>(d.weight_decay);
  s.scale = d.clip_norm > 0 && control->norm > static_cast<double>(d.clip_norm)
                ? static_cast<T>(static_cast<double>(d.clip_norm) / control->norm)
                : T(1);
  s.clip = static_cast<T>(d.clip_value);
  s.ema = static_cast<T>(d.ema_decay);
  s.correct1 = static_cast<T>(1 - std::pow(static_cast<double>(d.beta1), t));
  s.correct2 = static_cast<T>(1 - std::pow(static_cast<double>(d.beta2), t));
  s.g = in<T>(a, 0);
  s.p = out<T>(a, 0);
  s.m = out<T>(a, 1);
  s.v = out<T>(a, 2);
  s.average = out<T>(a, 3);
  a.parallel->for_each(tiles_of(d.count), [&](std::int64_t tile) {
    simd().elementwise<T>().update(s, tile * kTile, std::min(d.count, (tile + 1) * kTile));
  });
}

SEQGPU_INSTANTIATE(GradientNormDesc)
SEQGPU_INSTANTIATE(OptimizerDesc)

}  // namespace seqgpu::device::cpu
