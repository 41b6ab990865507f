#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>

#include "op/desc.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/support/all_optimizers.hpp"
#include "tests/support/gradient_check.hpp"

// The optimisers on the device under test against the CPU, which tests/train holds against their papers.
namespace seqgpu {
namespace {

using support::Vector;

/// Parameters whose gradient a test chooses.
struct Chosen {
  std::int64_t count;
  Parameters parameters;
  Trainer trainer;

  Chosen(const Device& device, const Optimizer& optimizer, std::int64_t count, DType dtype = DType::f32)
      : count(count), parameters(device, 1, dtype), trainer(device, declared(), optimizer, [this](Graph& g) {
          return reduce_all(mul(parameters.use(g, "p"), g.input("g", parameters.dtype(), {"C"})), Reduction::sum);
        }) {}
  void step(const Vector& gradient) { trainer.step({{"g", support::tensor(parameters.dtype(), {count}, gradient)}}); }
  Vector values() const { return support::widen(parameters.get("p")); }
  op::Control control() const {
    op::Control c;
    const TensorMap state = trainer.state();
    std::memcpy(&c, state.at("control").bytes.data(), sizeof c);
    return c;
  }

 private:
  Parameters& declared() {
    parameters.add("p", {count}, {});
    parameters.set("p", support::tensor(parameters.dtype(), {count}, support::random_vector(count, 1)));
    return parameters;
  }
};

/// Each element of the state, relative to 1 or to itself where that is more. @return the worst
double state_distance(const Chosen& here, const Chosen& there) {
  double worst = support::distance(here.values(), there.values());
  const TensorMap a = here.trainer.state(), b = there.trainer.state();
  EXPECT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : b) {
    if (name == "control") continue;
    worst = std::max(worst, support::distance(support::widen(a.at(name)), support::widen(tensor)));
  }
  return worst;
}

void expect_same_counts(const op::Control& got, const op::Control& want) {
  EXPECT_EQ(got.step, want.step);
  EXPECT_EQ(got.updates, want.updates);
  EXPECT_EQ(got.skipped, want.skipped);
  EXPECT_EQ(got.finite, want.finite);
  EXPECT_EQ(got.rate_factor, want.rate_factor);
  if (!want.finite) return;
  EXPECT_NEAR(got.norm, want.norm, 1e-12 * want.norm);  // sums of doubles in another order
}

TEST(DeviceOptimizers, StepAsOnTheCpu) {
  double worst = 0;
  for (const Optimizer& optimizer : support::all_optimizers())
    for (const std::int64_t count : {1, 33, 5000}) {
      if (count == 5000 && std::visit([](const auto& o) { return o.ema_decay == 0; }, optimizer)) continue;
      Chosen here(device_under_test(), optimizer, count), there(cpu_device(1), optimizer, count);
      Chosen exact(cpu_device(1), optimizer, count, DType::f64);
      for (unsigned step = 0; step < 5; ++step) {
        for (Chosen* c : {&here, &there, &exact}) c->trainer.set_rate_factor(step < 3 ? 1.f : 0.5f);
        const Vector g = support::random_vector(count, 10 + step, step % 3 == 0 ? 3 : 0.5);
        for (Chosen* c : {&here, &there, &exact}) c->step(g);
        expect_same_counts(here.control(), there.control());
      }
      // Of five steps of some ten roundings of 6e-8. Where weight decay cancels nearly all of a gradient, which is
      // then divided by its own size, f32 itself is further off; there the CPU says how much.
      const double error = state_distance(here, exact), of_cpu = state_distance(there, exact);
      worst = std::max(worst, error);
      EXPECT_LE(error, 3e-6 + 2 * of_cpu) << "optimizer " << optimizer.index() << " count " << count;
    }
  std::printf("optimizers: worst difference from f64 %.2g\n", worst);
}

TEST(DeviceOptimizers, SkipWhatIsNotFinite) {
  const Optimizer adam = Adam{.rate = 0.05f, .ema_decay = 0.8f};
  for (const double bad : {double(NAN), double(INFINITY), -double(INFINITY)})
    for (const std::int64_t count : {1, 33, 5000}) {
      Chosen here(device_under_test(), adam, count), there(cpu_device(1), adam, count);
      Vector g = support::random_vector(count, 3);
      here.step(g), there.step(g);
      const Vector before = here.values();
      const TensorMap state = here.trainer.state();
      Vector broken = g;
      broken.back() = bad;
      here.step(broken), there.step(broken);
      EXPECT_TRUE(here.trainer.report().skipped);
      EXPECT_EQ(here.trainer.report().non_finite_parameter, "p");
      EXPECT_EQ(here.values(), before);
      for (const auto& [name, tensor] : here.trainer.state())
        EXPECT_TRUE(name == "control" || tensor.bytes == state.at(name).bytes) << name;
      expect_same_counts(here.control(), there.control());
      here.step(g), there.step(g);
      expect_same_counts(here.control(), there.control());
      EXPECT_LE(state_distance(here, there), 3e-6);
    }
}

TEST(DeviceOptimizers, TwoRunsGiveTheSameBits) {
  const Optimizer adam = Adam{.rate = 0.05f, .clip_norm = 1.f, .ema_decay = 0.8f};
  Chosen first(device_under_test(), adam, 40000), second(device_under_test(), adam, 40000);
  for (unsigned step = 0; step < 3; ++step) {
    const Vector g = support::random_vector(40000, step);
    first.step(g), second.step(g);
  }
  EXPECT_EQ(first.values(), second.values());
  const TensorMap a = first.trainer.state(), b = second.trainer.state();
  for (const auto& [name, tensor] : a) EXPECT_TRUE(tensor.bytes == b.at(name).bytes) << name;
}

}  // namespace
}  // namespace seqgpu
