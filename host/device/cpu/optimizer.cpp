#include <algorithm>
#include <cmath>

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
    double lanes[8] = {};  // independent sums, so that the loop vectorises without reordering
    const std::int64_t begin = tile * kTile, end = std::min(d.count, begin + kTile);
    for (std::int64_t i = begin; i < end; ++i) {
      lanes[i % 8] += static_cast<double>(gradient[i]) * static_cast<double>(gradient[i]);
    }
    sums[tile] = ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  });
  double total = 0;
  for (std::int64_t tile = 0; tile < tiles; ++tile) total += sums[tile];
  auto* control = out<op::Control>(a, 0);
  control->norm = std::sqrt(total);
  control->finite = std::isfinite(total) ? 1 : 0;
}

namespace {

template <class T>
struct Pass {
  T rate, beta1, beta2, epsilon, decay, scale, clip, ema, correct1, correct2;
  T *p, *m, *v, *average;
  const T* g;
};

/// One element's update; Kind is a constant, so each optimiser is its own loop.
template <op::OptimizerDesc::Kind kKind, bool kNesterov, class T>
void update(const Pass<T>& s, std::int64_t begin, std::int64_t end) {
  using Kind = op::OptimizerDesc::Kind;
  for (std::int64_t i = begin; i < end; ++i) {
    T g = s.g[i] * s.scale;
    if (s.clip > T(0)) g = std::min(std::max(g, -s.clip), s.clip);
    T p = s.p[i];
    if constexpr (kKind == Kind::adam_w) {
      p -= s.rate * s.decay * p;
    } else {
      g += s.decay * p;
    }
    if constexpr (kKind == Kind::sgd) {
      p -= s.rate * g;
    } else if constexpr (kKind == Kind::momentum) {
      s.m[i] = s.beta1 * s.m[i] + g;
      p -= s.rate * (kNesterov ? g + s.beta1 * s.m[i] : s.m[i]);
    } else if constexpr (kKind == Kind::rms_prop) {
      s.m[i] = s.beta2 * s.m[i] + (T(1) - s.beta2) * g * g;
      p -= s.rate * g / (std::sqrt(s.m[i]) + s.epsilon);
    } else if constexpr (kKind == Kind::adagrad) {
      s.m[i] += g * g;
      p -= s.rate * g / (std::sqrt(s.m[i]) + s.epsilon);
    } else {
      s.m[i] = s.beta1 * s.m[i] + (T(1) - s.beta1) * g;
      s.v[i] = s.beta2 * s.v[i] + (T(1) - s.beta2) * g * g;
      p -= s.rate * (s.m[i] / s.correct1) / (std::sqrt(s.v[i] / s.correct2) + s.epsilon);
    }
    s.p[i] = p;
    if (s.average) s.average[i] = s.ema * s.average[i] + (T(1) - s.ema) * p;
  }
}

}  // namespace

template <class T>
void compute(const op::OptimizerDesc& d, const Arguments& a) {
  auto* control = out<op::Control>(a, 4);
  control->step += 1;
  if (!control->finite) {
    control->skipped += 1;
    return;
  }
  control->updates += 1;
  Pass<T> s;
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
  using Kind = op::OptimizerDesc::Kind;
  a.parallel->for_each(tiles_of(d.count), [&](std::int64_t tile) {
    const std::int64_t begin = tile * kTile, end = std::min(d.count, begin + kTile);
    switch (d.kind) {
      case Kind::sgd: return update<Kind::sgd, false>(s, begin, end);
      case Kind::momentum:
        return d.nesterov ? update<Kind::momentum, true>(s, begin, end) : update<Kind::momentum, false>(s, begin, end);
      case Kind::rms_prop: return update<Kind::rms_prop, false>(s, begin, end);
      case Kind::adagrad: return update<Kind::adagrad, false>(s, begin, end);
      case Kind::adam: return update<Kind::adam, false>(s, begin, end);
      case Kind::adam_w: return update<Kind::adam_w, false>(s, begin, end);
    }
  });
}

SEQGPU_INSTANTIATE(GradientNormDesc)
SEQGPU_INSTANTIATE(OptimizerDesc)

}  // namespace seqgpu::device::cpu
