#include "seqgpu/optim.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "seqgpu/error.hpp"
#include "train/optimizer_desc.hpp"

namespace seqgpu {
namespace train {
namespace {

using Kind = op::OptimizerDesc::Kind;

struct Specific {
  op::OptimizerDesc& d;
  void operator()(const Sgd&) const { d.kind = Kind::sgd; }
  void operator()(const Momentum& o) const {
    d.kind = Kind::momentum;
    d.beta1 = o.momentum;
    d.nesterov = o.nesterov;
  }
  void operator()(const RmsProp& o) const {
    d.kind = Kind::rms_prop;
    d.beta2 = o.decay;
    d.epsilon = o.epsilon;
  }
  void operator()(const Adagrad& o) const {
    d.kind = Kind::adagrad;
    d.epsilon = o.epsilon;
  }
  void operator()(const Adam& o) const { adam(Kind::adam, o.beta1, o.beta2, o.epsilon); }
  void operator()(const AdamW& o) const { adam(Kind::adam_w, o.beta1, o.beta2, o.epsilon); }
  void adam(Kind kind, float beta1, float beta2, float epsilon) const {
    d.kind = kind;
    d.beta1 = beta1;
    d.beta2 = beta2;
    d.epsilon = epsilon;
  }
};

void check(bool good, const char* field, float value, const char* wanted) {
  if (good) return;
  throw Error(ErrorCode::invalid_argument, "optimizer", field,
              std::string("must be ") + wanted + ", got " + std::to_string(value));
}

}  // namespace

op::OptimizerDesc describe(const Optimizer& optimizer, DType dtype, std::int64_t count) {
  op::OptimizerDesc d{};
  d.dtype = dtype;
  d.count = count;
  std::visit(
      [&](const auto& o) {
        d.rate = o.rate;
        d.clip_norm = o.clip_norm;
        d.clip_value = o.clip_value;
        d.weight_decay = o.weight_decay;
        d.ema_decay = o.ema_decay;
        Specific{d}(o);
      },
      optimizer);
  check(d.rate >= 0 && std::isfinite(d.rate), "rate", d.rate, "finite and not negative");
  check(d.clip_norm >= 0, "clip_norm", d.clip_norm, "0 (off) or more");
  check(d.clip_value >= 0, "clip_value", d.clip_value, "0 (off) or more");
  check(d.weight_decay >= 0, "weight_decay", d.weight_decay, "0 (off) or more");
  check(d.ema_decay >= 0 && d.ema_decay < 1, "ema_decay", d.ema_decay, "in [0, 1)");
  check(d.beta1 >= 0 && d.beta1 < 1, "beta1", d.beta1, "in [0, 1)");
  check(d.beta2 >= 0 && d.beta2 < 1, "beta2", d.beta2, "in [0, 1)");
  check(d.epsilon >= 0, "epsilon", d.epsilon, "0 or more");
  return d;
}

int moment_count(Kind kind) {
  switch (kind) {
    case Kind::sgd: return 0;
    case Kind::momentum:
    case Kind::rms_prop:
    case Kind::adagrad: return 1;
    case Kind::adam:
    case Kind::adam_w: return 2;
  }
  return 0;
}

}  // namespace train

Schedule Schedule::constant() { return {}; }

Schedule Schedule::step(std::int64_t every, float factor) {
  if (every < 1) {
    throw Error(ErrorCode::invalid_argument, "Schedule::step", "every",
                "must be at least 1, got " + std::to_string(every));
  }
  Schedule s;
  s.kind_ = Kind::step;
  s.steps_ = every;
  s.factor_ = factor;
  return s;
}

Schedule Schedule::halve_on_plateau(int patience) {
  if (patience < 1) {
    throw Error(ErrorCode::invalid_argument, "Schedule::halve_on_plateau", "patience",
                "must be at least 1, got " + std::to_string(patience));
  }
  Schedule s;
  s.kind_ = Kind::plateau;
  s.patience_ = patience;
  return s;
}

Schedule Schedule::warm_up(std::int64_t steps) {
  if (steps < 1) {
    throw Error(ErrorCode::invalid_argument, "Schedule::warm_up", "steps",
                "must be at least 1, got " + std::to_string(steps));
  }
  Schedule s;
  s.kind_ = Kind::warm_up;
  s.steps_ = steps;
  return s;
}

Schedule Schedule::cosine(std::int64_t warm_up, std::int64_t total) {
  if (warm_up < 0 || total <= warm_up) {
    throw Error(
        ErrorCode::invalid_argument, "Schedule::cosine", "warm_up",
        "must be at least 0 and less than all " + std::to_string(total) + " steps, got " + std::to_string(warm_up));
  }
  Schedule s;
  s.kind_ = Kind::cosine;
  s.steps_ = warm_up;
  s.total_ = total;
  return s;
}

float Schedule::factor(std::int64_t step) const {
  const auto rising = [&] { return std::min(1.f, static_cast<float>(step + 1) / static_cast<float>(steps_)); };
  switch (kind_) {
    case Kind::constant: return 1.f;
    case Kind::step: {
      const std::int64_t drops = step / steps_;
      return std::pow(factor_, static_cast<float>(drops));
    }
    case Kind::plateau: return state_.scale;
    case Kind::warm_up: return rising();
    case Kind::cosine: {
      if (step < steps_) return rising();
      const double part = static_cast<double>(std::min(step, total_) - steps_) / static_cast<double>(total_ - steps_);
      return static_cast<float>(0.5 * (1 + std::cos(std::numbers::pi * part)));
    }
  }
  return 1.f;
}

void Schedule::observe(float score) {
  if (state_.observed++ == 0 || score > state_.best) {
    state_.best = score;
    state_.waited = 0;
  } else if (kind_ == Kind::plateau && ++state_.waited >= patience_) {
    state_.scale *= 0.5f;
    state_.waited = 0;
  }
}

}  // namespace seqgpu
