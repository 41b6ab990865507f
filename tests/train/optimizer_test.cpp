#include <gtest/gtest.h>

#include <cmath>
#include <variant>

#include "tests/support/all_optimizers.hpp"
#include "tests/support/gradient_check.hpp"

// Each optimiser against its paper, in double, over steps whose gradients the test chooses.
namespace seqgpu {
namespace {

using support::Vector;

struct Reference {
  Vector p, m, v, average;
  int t = 0;
};

/// One update of the reference. Optimisers read their options as float, so the double reference does too.
struct Update {
  Reference& r;
  Vector g;
  double factor;

  template <class O>
  Vector prepared(const O& o, bool decay) const {
    Vector out = g;
    double norm = 0;
    for (const double x : g) norm += x * x;
    norm = std::sqrt(norm);
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (o.clip_norm > 0 && norm > o.clip_norm) out[i] *= o.clip_norm / norm;
      if (o.clip_value > 0) out[i] = std::fmin(std::fmax(out[i], -double(o.clip_value)), double(o.clip_value));
      if (decay) out[i] += double(o.weight_decay) * r.p[i];
    }
    return out;
  }
  template <class O>
  void finish(const O& o) {
    for (std::size_t i = 0; i < r.p.size(); ++i)
      r.average[i] = double(o.ema_decay) * r.average[i] + (1 - double(o.ema_decay)) * r.p[i];
  }
  void operator()(const Sgd& o) {
    const Vector d = prepared(o, true);
    for (std::size_t i = 0; i < d.size(); ++i) r.p[i] -= factor * o.rate * d[i];
    finish(o);
  }
  void operator()(const Momentum& o) {
    const Vector d = prepared(o, true);
    for (std::size_t i = 0; i < d.size(); ++i) {
      r.m[i] = double(o.momentum) * r.m[i] + d[i];
      r.p[i] -= factor * o.rate * (o.nesterov ? d[i] + double(o.momentum) * r.m[i] : r.m[i]);
    }
    finish(o);
  }
  void operator()(const RmsProp& o) {
    const Vector d = prepared(o, true);
    for (std::size_t i = 0; i < d.size(); ++i) {
      r.v[i] = double(o.decay) * r.v[i] + (1 - double(o.decay)) * d[i] * d[i];
      r.p[i] -= factor * o.rate * d[i] / (std::sqrt(r.v[i]) + double(o.epsilon));
    }
    finish(o);
  }
  void operator()(const Adagrad& o) {
    const Vector d = prepared(o, true);
    for (std::size_t i = 0; i < d.size(); ++i) {
      r.v[i] += d[i] * d[i];
      r.p[i] -= factor * o.rate * d[i] / (std::sqrt(r.v[i]) + double(o.epsilon));
    }
    finish(o);
  }
  template <class O>
  void adam(const O& o, const Vector& d) {
    ++r.t;
    for (std::size_t i = 0; i < d.size(); ++i) {
      r.m[i] = double(o.beta1) * r.m[i] + (1 - double(o.beta1)) * d[i];
      r.v[i] = double(o.beta2) * r.v[i] + (1 - double(o.beta2)) * d[i] * d[i];
      const double m_hat = r.m[i] / (1 - std::pow(double(o.beta1), r.t));
      const double v_hat = r.v[i] / (1 - std::pow(double(o.beta2), r.t));
      r.p[i] -= factor * o.rate * m_hat / (std::sqrt(v_hat) + double(o.epsilon));
    }
    finish(o);
  }
  void operator()(const Adam& o) { adam(o, prepared(o, true)); }
  void operator()(const AdamW& o) {
    for (double& p : r.p) p -= factor * o.rate * double(o.weight_decay) * p;
    adam(o, prepared(o, false));
  }
};

void run(const Optimizer& optimizer, DType dtype, std::int64_t count, double tolerance) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1, dtype);
  const Vector start = support::random_vector(count, 1);
  parameters.add("p", {count}, {});
  parameters.set("p", support::tensor(dtype, {count}, start));
  Trainer trainer(device, parameters, optimizer, [&](Graph& g) {
    return reduce_all(mul(parameters.use(g, "p"), g.input("g", dtype, {"C"})), Reduction::sum);
  });
  const Vector zero(start.size(), 0);
  Reference r{start, zero, zero, start};
  for (unsigned step = 0; step < 8; ++step) {
    const double factor = step < 4 ? 1 : 0.5;
    trainer.set_rate_factor(static_cast<float>(factor));
    const Vector g = support::random_vector(count, 10 + step, step % 3 == 0 ? 3 : 0.5);
    trainer.step({{"g", support::tensor(dtype, {count}, g)}});
    std::visit(Update{r, g, factor}, optimizer);
    double norm = 0;
    for (const double x : g) norm += x * x;
    EXPECT_NEAR(trainer.report().gradient_norm, std::sqrt(norm), 1e-6 * std::sqrt(norm));
    ASSERT_LE(support::distance(support::widen(parameters.get("p")), r.p), tolerance)
        << "optimizer " << optimizer.index() << " step " << step << " count " << count;
    ASSERT_EQ(support::widen(trainer.gradient("p")), g);  // before clipping
  }
  const TensorMap averaged = trainer.averaged();
  if (!averaged.empty()) {
    EXPECT_LE(support::distance(support::widen(averaged.at("p")), r.average), tolerance);
  }
}

TEST(Optimizers, FollowTheirPapers) {
  for (const Optimizer& o : support::all_optimizers())
    for (const std::int64_t count : {1, 15, 17, 33}) {
      run(o, DType::f64, count, 1e-12);  // a few hundred roundings of 1e-16
      // f32: 8 steps of a few roundings of 6e-8, and 1 - beta2 = 0.001, which as a float is 2e-5 off relative to it.
      run(o, DType::f32, count, 5e-6);
    }
  run(Adam{.clip_norm = 1.f}, DType::f64, 40000, 1e-12);  // several tiles
}

TEST(Schedules, Factors) {
  EXPECT_EQ(Schedule::constant().factor(0), 1.f);
  EXPECT_EQ(Schedule::constant().factor(1000), 1.f);
  const Schedule step = Schedule::step(10, 0.5f);
  EXPECT_EQ(step.factor(0), 1.f);
  EXPECT_EQ(step.factor(9), 1.f);
  EXPECT_EQ(step.factor(10), 0.5f);
  EXPECT_EQ(step.factor(29), 0.25f);
  const Schedule warm = Schedule::warm_up(4);
  EXPECT_EQ(warm.factor(0), 0.25f);
  EXPECT_EQ(warm.factor(3), 1.f);
  EXPECT_EQ(warm.factor(100), 1.f);
}

TEST(Schedules, CosineRisesThenFallsToZero) {
  const Schedule s = Schedule::cosine(4, 12);
  EXPECT_EQ(s.factor(0), 0.25f);
  EXPECT_EQ(s.factor(3), 1.f);
  EXPECT_EQ(s.factor(4), 1.f);
  EXPECT_NEAR(s.factor(6), 0.5 + 0.5 * std::sqrt(0.5), 1e-6);
  EXPECT_NEAR(s.factor(8), 0.5f, 1e-6);
  EXPECT_NEAR(s.factor(12), 0.f, 1e-6);
  EXPECT_EQ(s.factor(99), s.factor(12));
  EXPECT_EQ(Schedule::cosine(0, 2).factor(0), 1.f);
  EXPECT_THROW(Schedule::cosine(3, 3), Error);
  EXPECT_THROW(Schedule::cosine(-1, 3), Error);
}

TEST(Schedules, HalvesOnPlateau) {
  Schedule s = Schedule::halve_on_plateau(2);
  for (const float score : {0.5f, 0.6f, 0.6f}) s.observe(score);
  EXPECT_EQ(s.factor(0), 1.f);
  s.observe(0.55f);
  EXPECT_EQ(s.factor(0), 0.5f);
  s.observe(0.7f), s.observe(0.1f);
  EXPECT_EQ(s.factor(0), 0.5f);
  Schedule resumed = Schedule::halve_on_plateau(2);
  resumed.restore(s.state());
  s.observe(0.1f), resumed.observe(0.1f);
  EXPECT_EQ(s.factor(0), 0.25f);
  EXPECT_EQ(resumed.factor(0), 0.25f);
  Schedule negative = Schedule::halve_on_plateau(1);  // scores below zero, as of a negated loss
  negative.observe(-5.f), negative.observe(-4.f);
  EXPECT_EQ(negative.factor(0), 1.f);
}

}  // namespace
}  // namespace seqgpu
