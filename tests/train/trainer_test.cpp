#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

#include "tests/support/gradient_check.hpp"
#include "tests/support/sharing_cpu.hpp"
#include "tests/train/allocation_counter.hpp"
#include "tests/train/tagger.hpp"

// A training run as a whole: memory, determinism, resume, faults, learning.
namespace seqgpu {
namespace {

using support::adam_with_all;
using support::everything;
using support::kCells;
using support::Tagger;
using support::tagger_batch;
using support::TaggerOptions;
using support::widen;

TEST(Trainer, SteadyStateAllocatesNothing) {
  for (const int threads : {1, 2, 3}) {
    for (const CellKind cell : kCells) {
      const Device device = support::sharing_cpu(threads);
      Tagger tagger(device, everything(cell));
      Trainer trainer(device, tagger.parameters, adam_with_all(), [&](Graph& g) { return tagger.loss(g); });
      const Batch batches[] = {tagger_batch(5, 4, 1), tagger_batch(7, 3, 2)};
      for (const Batch& b : batches) trainer.step(b), trainer.step(b);
      support::AllocationCounter counter;
      for (int i = 0; i < 5; ++i) {
        for (const Batch& b : batches) trainer.step(b);
        trainer.set_rate_factor(0.5f);
      }
      EXPECT_EQ(counter.count(), 0) << to_string(cell) << " " << threads << " threads";
    }
  }
}

TEST(Trainer, CounterCounts) {
  support::AllocationCounter counter;
  const std::vector<int> v(100, 1);
  EXPECT_EQ(counter.count() + v[0], 2);
}

TEST(Trainer, PredictedPeakIsMeasuredPeak) {
  for (const Optimizer& optimizer : {Optimizer{Sgd{}}, Optimizer{Momentum{}}, Optimizer{adam_with_all()}}) {
    const Device device = cpu_device(2);
    Tagger tagger(device, everything(CellKind::lstm));
    Trainer trainer(device, tagger.parameters, optimizer, [&](Graph& g) { return tagger.loss(g); });
    std::int64_t largest = 0;
    for (const auto& [T, N] : {std::pair{5, 4}, {3, 2}, {20, 16}, {20, 3}, {30, 20}, {5, 4}}) {
      const Batch batch = tagger_batch(T, N, 1);
      largest = std::max(largest, trainer.predicted_peak_bytes(batch));
      trainer.step(batch);
      EXPECT_EQ(device.memory().peak, largest);
      EXPECT_EQ(device.memory().current, largest);  // buckets share one arena
    }
  }
  const Device device = cpu_device(1);
  { Tagger tagger(device, {}); }
  EXPECT_EQ(device.memory().current, 0);
}

/// A layer over T steps whose last state alone is looked at: what it keeps for backward is nearly all of its memory.
struct LongSequence {
  explicit LongSequence(const Device& device, TrainerOptions options = {})
      : parameters(device, 3),
        layer(parameters, "layer", {.cell = CellKind::lstm, .input = 8, .hidden = 48}),
        trainer(
            device, parameters, Adam{.rate = 1e-2f},
            [this](Graph& g) {
              const Value x = g.input("x", DType::f32, {"T", "N", "I"});
              const Value h = layer.run(x, {}, {}, {}).final[0];
              return reduce_all(mul(h, h), Reduction::mean);
            },
            options) {}

  static Batch batch(std::int64_t T, std::int64_t N) {
    HostTensor x(DType::f32, {T, N, 8});
    std::mt19937 random(1);
    for (float& v : x.view<float>()) v = std::uniform_real_distribution<float>(-1, 1)(random);
    Batch batch;
    batch["x"] = std::move(x);
    return batch;
  }

  Parameters parameters;
  nn::Recurrent layer;
  Trainer trainer;
};

TEST(Trainer, KeepsToItsMemory) {
  const Batch batch = LongSequence::batch(10000, 4);
  const Device free = cpu_device(2), bound = cpu_device(2);
  LongSequence a(free);
  const std::int64_t whole = a.trainer.predicted_peak_bytes(batch), budget = whole / 10;
  LongSequence b(bound, {.memory_bytes = budget});
  for (int i = 0; i < 2; ++i) EXPECT_EQ(a.trainer.step(batch), b.trainer.step(batch));
  EXPECT_LE(bound.memory().peak, budget);
  EXPECT_EQ(bound.memory().peak, b.trainer.predicted_peak_bytes(batch));
  EXPECT_EQ(a.trainer.explain(batch).find("again in backward"), std::string::npos);
  EXPECT_NE(b.trainer.explain(batch).find("again in backward"), std::string::npos);
  const TensorMap left = a.parameters.all(), right = b.parameters.all();
  for (const auto& [name, tensor] : left) EXPECT_EQ(tensor.bytes, right.at(name).bytes) << name;
}

TEST(Trainer, SaysWhatItWouldNeed) {
  const Device device = cpu_device(1);
  LongSequence tight(device, {.memory_bytes = 400'000});
  try {
    tight.trainer.step(LongSequence::batch(2000, 8));
    ADD_FAILURE() << "no Error was thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::out_of_memory);
    EXPECT_EQ(e.argument(), "memory_bytes");
    EXPECT_NE(std::string(e.what()).find("where recurrent layers run forward again"), std::string::npos) << e.what();
  }
  EXPECT_GT(tight.trainer.step(LongSequence::batch(3, 1)), 0);  // still usable
  EXPECT_THROW(LongSequence(device, {.memory_bytes = -1}), Error);
}

struct History {
  std::vector<float> losses;
  TensorMap parameters;
};
History train_all(CellKind cell, int threads) {
  const Device device = support::sharing_cpu(threads);
  TaggerOptions o = everything(cell);
  o.hidden = 33;
  Tagger tagger(device, o);
  Trainer trainer(device, tagger.parameters, adam_with_all(), [&](Graph& g) { return tagger.loss(g); });
  History run;
  for (unsigned i = 0; i < 12; ++i) run.losses.push_back(trainer.step(tagger_batch(6 + i % 3, 9, i % 4)));
  run.parameters = tagger.parameters.all();
  return run;
}

TEST(Trainer, SameBitsWhateverTheThreads) {
  for (const CellKind cell : kCells) {
    const History want = train_all(cell, 1);
    for (const int threads : {1, 2, 2, 3}) {
      const History got = train_all(cell, threads);
      EXPECT_EQ(got.losses, want.losses) << to_string(cell) << " " << threads;
      for (const auto& [name, t] : want.parameters) EXPECT_EQ(got.parameters.at(name).bytes, t.bytes) << name;
    }
  }
}

TEST(Trainer, ResumesBitForBit) {
  const Device device = cpu_device(2);
  const auto batch = [](unsigned i) { return tagger_batch(5 + i % 2, 4, i); };
  Tagger tagger(device, everything(CellKind::gru));
  Trainer trainer(device, tagger.parameters, adam_with_all(), [&](Graph& g) { return tagger.loss(g); });
  for (unsigned i = 0; i < 5; ++i) trainer.step(batch(i));
  trainer.set_rate_factor(0.25f);
  const TensorMap parameters = tagger.parameters.all(), state = trainer.state();
  std::vector<float> want;
  for (unsigned i = 5; i < 10; ++i) want.push_back(trainer.step(batch(i)));

  TaggerOptions other = everything(CellKind::gru);
  Tagger again(device, other);
  Trainer resumed(device, again.parameters, adam_with_all(), [&](Graph& g) { return again.loss(g); });
  again.parameters.set_all(parameters);
  resumed.restore(state);
  EXPECT_EQ(resumed.steps(), 5);
  std::vector<float> got;
  for (unsigned i = 5; i < 10; ++i) got.push_back(resumed.step(batch(i)));
  EXPECT_EQ(got, want);
  for (const auto& [name, t] : tagger.parameters.all()) EXPECT_EQ(again.parameters.get(name).bytes, t.bytes) << name;
  for (const auto& [name, t] : trainer.averaged()) EXPECT_EQ(resumed.averaged().at(name).bytes, t.bytes) << name;
}

/// Two parameters whose gradients are what the batch says.
struct Given {
  Parameters parameters;
  explicit Given(const Device& device) : parameters(device, 1) {
    parameters.add("a", {3}, {Initializer::Kind::constant, 1.f});
    parameters.add("b", {2}, {Initializer::Kind::constant, 2.f});
  }
  Value loss(Graph& g) const {
    return add(reduce_all(mul(parameters.use(g, "a"), g.input("da", DType::f32, {"3"})), Reduction::sum),
               reduce_all(mul(parameters.use(g, "b"), g.input("db", DType::f32, {"2"})), Reduction::sum));
  }
  static Batch batch(std::vector<float> da, std::vector<float> db) {
    return {{"da", HostTensor::of({3}, da)}, {"db", HostTensor::of({2}, db)}};
  }
};

TEST(Trainer, NonFiniteGradientSkipsTheStep) {
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  for (const Optimizer& optimizer : {Optimizer{Sgd{.ema_decay = 0.5f}}, Optimizer{Momentum{}}, Optimizer{RmsProp{}},
                                     Optimizer{Adagrad{}}, Optimizer{adam_with_all()}, Optimizer{AdamW{}}}) {
    const Device device = cpu_device(1);
    Given given(device);
    Trainer trainer(device, given.parameters, optimizer, [&](Graph& g) { return given.loss(g); });
    trainer.step(Given::batch({1, 2, 3}, {4, 5}));
    EXPECT_FALSE(trainer.report().skipped);
    const TensorMap parameters = given.parameters.all(), state = trainer.state();
    int skipped = 0;
    for (const float bad : {inf, -inf, nan}) {
      trainer.step(Given::batch({1, 2, 3}, {4, bad}));
      EXPECT_TRUE(trainer.report().skipped);
      EXPECT_EQ(trainer.report().non_finite_parameter, "b");
      EXPECT_EQ(trainer.report().skipped_total, ++skipped);
      trainer.step(Given::batch({1, bad, 3}, {4, bad}));
      EXPECT_EQ(trainer.report().non_finite_parameter, "a");
      EXPECT_EQ(trainer.report().skipped_total, ++skipped);
    }
    for (const auto& [name, t] : given.parameters.all()) EXPECT_EQ(t.bytes, parameters.at(name).bytes) << name;
    for (const auto& [name, t] : trainer.state()) {
      if (name != "control") {
        EXPECT_EQ(t.bytes, state.at(name).bytes) << name;
      }
    }
    trainer.step(Given::batch({1, 2, 3}, {4, 5}));
    EXPECT_FALSE(trainer.report().skipped);
    EXPECT_EQ(trainer.report().non_finite_parameter, "");
    EXPECT_NE(given.parameters.get("a").bytes, parameters.at("a").bytes);
    EXPECT_EQ(trainer.steps(), 8);
  }
}

TEST(Trainer, UnusedParameterStaysAndHasZeroGradient) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("used", {2}, {Initializer::Kind::constant, 1.f});
  parameters.add("never", {2}, {Initializer::Kind::constant, 3.f});
  parameters.add("no_effect", {2}, {Initializer::Kind::constant, 3.f});
  Trainer trainer(device, parameters, Adam{}, [&](Graph& g) {
    g.output("aside", tanh(parameters.use(g, "no_effect")));
    return reduce_all(parameters.use(g, "used"), Reduction::sum);
  });
  EXPECT_EQ(trainer.step({}), 2.f);
  for (const char* name : {"never", "no_effect"}) {
    EXPECT_EQ(widen(trainer.gradient(name)), (support::Vector{0, 0})) << name;
    EXPECT_EQ(widen(parameters.get(name)), (support::Vector{3, 3})) << name;
  }
  EXPECT_EQ(widen(trainer.gradient("used")), (support::Vector{1, 1}));
}

// One parameter is itself the gradient of another, and one gradient serves two parameters.
TEST(Trainer, GradientThatIsAValueOrShared) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("p", {2}, {Initializer::Kind::constant, 2.f});
  parameters.add("q", {2}, {Initializer::Kind::constant, 5.f});
  parameters.add("scalar", Shape{}, {Initializer::Kind::constant, 3.f});
  Trainer trainer(device, parameters, Sgd{.rate = 0.f}, [&](Graph& g) {
    const Value p = parameters.use(g, "p"), q = parameters.use(g, "q");
    const Value sum = add(p, q);  // d p = d q
    return add(reduce_all(mul(sum, sum), Reduction::sum), parameters.use(g, "scalar"));
  });
  EXPECT_EQ(trainer.step({}), 2 * 49 + 3);
  EXPECT_EQ(widen(trainer.gradient("p")), (support::Vector{14, 14}));
  EXPECT_EQ(widen(trainer.gradient("q")), (support::Vector{14, 14}));
  EXPECT_EQ(widen(trainer.gradient("scalar")), (support::Vector{1}));
}

TEST(Trainer, LossOfAParameterAlone) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("scalar", Shape{}, {Initializer::Kind::constant, 3.f});
  Trainer trainer(device, parameters, Sgd{.rate = 1.f}, [&](Graph& g) { return parameters.use(g, "scalar"); });
  EXPECT_EQ(trainer.step({}), 3.f);
  EXPECT_EQ(trainer.step({}), 2.f);
}

TEST(Trainer, AgreesWithSession) {
  for (const CellKind cell : kCells) {
    const Device device = cpu_device(2);
    Tagger tagger(device, {.cell = cell, .layers = 2, .radius = 1});
    Trainer trainer(device, tagger.parameters, Sgd{.rate = 0.f}, [&](Graph& g) { return tagger.loss(g); });
    Session session(device, tagger.parameters, [&](Graph& g) { g.output("loss", tagger.loss(g)); });
    for (const auto& [T, N] : {std::pair{5, 4}, {1, 1}, {9, 7}}) {
      const Batch batch = tagger_batch(T, N, 3);
      const float loss = trainer.step(batch);
      const TensorMap out = session.run(batch);
      EXPECT_EQ(out.at("loss").view<float>()[0], loss) << to_string(cell);
      EXPECT_EQ(out.at("scores").bytes, trainer.output("scores").bytes) << to_string(cell);
    }
  }
}

TEST(Trainer, SessionSeesNewParameters) {
  const Device device = cpu_device(1);
  Tagger tagger(device, {});
  Trainer trainer(device, tagger.parameters, Sgd{.rate = 0.5f}, [&](Graph& g) { return tagger.loss(g); });
  Session session(device, tagger.parameters, [&](Graph& g) { g.output("loss", tagger.loss(g)); });
  const Batch batch = tagger_batch(5, 4, 3);
  const float before = session.run(batch).at("loss").view<float>()[0];
  trainer.step(batch);
  EXPECT_LT(session.run(batch).at("loss").view<float>()[0], before);
}

TEST(Trainer, DescribesAndTraces) {
  const Device device = cpu_device(2);
  Tagger tagger(device, {});
  Trainer trainer(device, tagger.parameters, Sgd{}, [&](Graph& g) { return tagger.loss(g); });
  const Batch batch = tagger_batch(5, 4, 3);
  const std::string text = trainer.describe(batch);
  EXPECT_NE(text.find("recurrent_backward"), std::string::npos);
  EXPECT_NE(text.find("arena peak"), std::string::npos);
  EXPECT_NE(trainer.trace(batch).find("\"optimizer\""), std::string::npos);
}

TEST(Trainer, EveryCellLearns) {
  for (const CellKind cell : kCells) {
    const Device device = cpu_device(1);
    Tagger tagger(device, {.cell = cell, .bidirectional = false, .hidden = 24});
    Trainer trainer(device, tagger.parameters, Adam{.rate = 0.02f}, [&](Graph& g) { return tagger.loss(g); });
    const Batch batch = tagger_batch(6, 8, 1);
    const float first = trainer.step(batch);
    float last = first;
    for (int i = 0; i < 300; ++i) last = trainer.step(batch);
    EXPECT_LT(last, first / 50) << to_string(cell);  // it memorises eight sequences
  }
}

TEST(Trainer, FailedBatchLeavesTrainerUsable) {
  const Device device = cpu_device(2);
  Tagger tagger(device, {});
  Trainer trainer(device, tagger.parameters, Sgd{}, [&](Graph& g) { return tagger.loss(g); });
  const Batch good = tagger_batch(5, 4, 3);
  trainer.step(good);
  const TensorMap before = tagger.parameters.all();
  Batch bad = good;
  bad.at("ids").view<std::int32_t>()[3] = 99;
  EXPECT_THROW(trainer.step(bad), Error);
  bad.erase("ids");
  EXPECT_THROW(trainer.step(bad), Error);
  for (const auto& [name, t] : tagger.parameters.all()) EXPECT_EQ(t.bytes, before.at(name).bytes) << name;
  EXPECT_EQ(trainer.steps(), 1);
  trainer.step(good);
  EXPECT_EQ(trainer.steps(), 2);
}

}  // namespace
}  // namespace seqgpu
