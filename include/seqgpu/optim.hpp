#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "seqgpu/export.hpp"

namespace seqgpu {

// Optimisers are one fused pass over the flat parameter buffer. Common fields: `rate` (changed by a schedule),
// `clip_norm` (global norm of the gradient, 0 is off), `clip_value` (each element, 0 is off), `weight_decay` (added to
// the gradient, except AdamW), `ema_decay` (moving average of the parameters, 0 is off).

struct Sgd {
  float rate = 0.01f, clip_norm = 0.f, clip_value = 0.f, weight_decay = 0.f, ema_decay = 0.f;
};
/// v = momentum * v + g; p -= rate * v, or with nesterov p -= rate * (g + momentum * v) (PyTorch's form).
struct Momentum {
  float rate = 0.01f, momentum = 0.9f;
  bool nesterov = false;
  float clip_norm = 0.f, clip_value = 0.f, weight_decay = 0.f, ema_decay = 0.f;
};
/// Tieleman & Hinton 2012: v = decay*v + (1-decay)*g^2; p -= rate * g / (sqrt(v) + epsilon).
struct RmsProp {
  float rate = 0.001f, decay = 0.99f, epsilon = 1e-8f;
  float clip_norm = 0.f, clip_value = 0.f, weight_decay = 0.f, ema_decay = 0.f;
};
/// Duchi et al. 2011: v += g^2; p -= rate * g / (sqrt(v) + epsilon).
struct Adagrad {
  float rate = 0.01f, epsilon = 1e-10f;
  float clip_norm = 0.f, clip_value = 0.f, weight_decay = 0.f, ema_decay = 0.f;
};
/// Kingma & Ba 2015, with bias correction.
struct Adam {
  float rate = 0.001f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float clip_norm = 0.f, clip_value = 0.f, weight_decay = 0.f, ema_decay = 0.f;
};
/// Loshchilov & Hutter 2019: p -= rate * weight_decay * p apart from Adam's step.
struct AdamW {
  float rate = 0.001f, beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float clip_norm = 0.f, clip_value = 0.f, weight_decay = 0.01f, ema_decay = 0.f;
};
using Optimizer = std::variant<Sgd, Momentum, RmsProp, Adagrad, Adam, AdamW>;

/// A learning rate over time. rate() is pure; observe() feeds halve-on-plateau one validation score (higher is better).
class SEQGPU_API Schedule {
 public:
  static Schedule constant();
  /// Multiplies by `factor` after every `every` steps.
  static Schedule step(std::int64_t every, float factor);
  /// Halves after `patience` observations without a better score.
  static Schedule halve_on_plateau(int patience);
  /// Rises linearly from 0 over `steps`, then stays.
  static Schedule warm_up(std::int64_t steps);
  /// Rises linearly over `warm_up` steps, which may be 0, then falls to 0 at `total` along half a cosine
  /// (Loshchilov & Hutter 2017).
  static Schedule cosine(std::int64_t warm_up, std::int64_t total);

  /// @param step  steps taken so far  @return the factor on the optimiser's rate
  float factor(std::int64_t step) const;
  void observe(float score);

  /// State for a checkpoint.
  struct State {
    float best = 0.f, scale = 1.f;
    int waited = 0, observed = 0;
  };
  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

 private:
  enum class Kind : std::uint8_t { constant, step, plateau, warm_up, cosine } kind_ = Kind::constant;
  std::int64_t steps_ = 0, total_ = 0;
  float factor_ = 1.f;
  int patience_ = 0;
  State state_;
};

}  // namespace seqgpu
