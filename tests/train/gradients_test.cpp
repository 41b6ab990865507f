#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/support/all_optimizers.hpp"
#include "tests/support/gradient_check.hpp"
#include "tests/support/sharing_cpu.hpp"
#include "tests/train/allocation_counter.hpp"
#include "tests/train/counting_backend.hpp"
#include "tests/train/tagger.hpp"

// Gradients without an update, and updates from the gradients of several batches.
namespace seqgpu {
namespace {

using support::adam_with_all;
using support::everything;
using support::kCells;
using support::Tagger;
using support::tagger_batch;
using support::TaggerOptions;
using support::widen;

void expect_same(const TensorMap& got, const TensorMap& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (const auto& [name, tensor] : want) EXPECT_TRUE(got.at(name).bytes == tensor.bytes) << what << ": " << name;
}

/// A tagger and its trainer.
struct Training {
  Tagger tagger;
  Trainer trainer;
  Training(const Device& device, const TaggerOptions& options, const Optimizer& optimizer = adam_with_all())
      : tagger(device, options),
        trainer(device, tagger.parameters, optimizer, [this](Graph& g) { return tagger.loss(g); }) {}
};

TEST(Backward, MakesTheGradientsOfTheStep) {
  for (const CellKind cell : kCells) {
    for (const int threads : {1, 2}) {
      Training run(support::sharing_cpu(threads), everything(cell));
      for (unsigned step = 0; step < 3; ++step) {
        const Batch batch = tagger_batch(5 + step % 2, 4, step);
        const float loss = run.trainer.backward(batch);
        const TensorMap gradients = run.trainer.gradients();
        const HostTensor scores = run.trainer.output("scores"), exact = run.trainer.output("loss");
        EXPECT_EQ(exact.view<float>()[0], loss);
        EXPECT_EQ(run.trainer.backward(batch), loss) << "the same masks again";
        EXPECT_EQ(run.trainer.step(batch), loss) << to_string(cell);
        expect_same(run.trainer.gradients(), gradients, to_string(cell));
        EXPECT_EQ(run.trainer.output("scores").bytes, scores.bytes);
        double sum = 0;
        for (const auto& [name, gradient] : gradients) {
          EXPECT_EQ(gradient.shape, run.tagger.parameters.get(name).shape) << name;
          EXPECT_EQ(gradient.bytes, run.trainer.gradient(name).bytes) << name;
          for (const double g : widen(gradient)) sum += g * g;
        }
        EXPECT_NEAR(std::sqrt(sum), run.trainer.report().gradient_norm, 1e-6 * (1 + std::sqrt(sum)));
      }
    }
  }
}

TEST(Backward, ChangesNothing) {
  Training run(cpu_device(2), everything(CellKind::lstm));
  run.trainer.step(tagger_batch(5, 4, 1));
  const TensorMap parameters = run.tagger.parameters.all(), state = run.trainer.state();
  const StepReport report = run.trainer.report();
  for (unsigned i = 0; i < 3; ++i) run.trainer.backward(tagger_batch(6, 3 + i, i));
  expect_same(run.tagger.parameters.all(), parameters, "parameters");
  expect_same(run.trainer.state(), state, "state");
  EXPECT_EQ(run.trainer.report().loss, report.loss);
  EXPECT_EQ(run.trainer.report().gradient_norm, report.gradient_norm);
  EXPECT_EQ(run.trainer.steps(), 1);
}

TEST(Backward, LeavesNoTraceInALaterRun) {
  for (const CellKind cell : kCells) {
    Training with(cpu_device(2), everything(cell)), without(cpu_device(2), everything(cell));
    for (unsigned i = 0; i < 6; ++i) {
      const Batch batch = tagger_batch(5 + i % 2, 4, i);
      for (unsigned k = 0; k < i % 3; ++k) with.trainer.backward(tagger_batch(4 + k, 5, 50 + k));
      EXPECT_EQ(with.trainer.step(batch), without.trainer.step(batch));
      with.trainer.backward(batch);
      with.trainer.accumulate(batch), with.trainer.update();
      without.trainer.accumulate(batch), without.trainer.update();
    }
    expect_same(with.tagger.parameters.all(), without.tagger.parameters.all(), to_string(cell));
    expect_same(with.trainer.state(), without.trainer.state(), to_string(cell));
  }
}

// As a user checks a model of his own: every element of every parameter.
TEST(Backward, AgreesWithCentralDifferences) {
  TaggerOptions options = everything(CellKind::lstm);
  options.hidden = 3, options.dtype = DType::f64;
  Training run(cpu_device(1), options, Sgd{});
  Parameters& parameters = run.tagger.parameters;
  const Batch batch = tagger_batch(4, 3, 7);
  const auto loss = [&] {
    run.trainer.backward(batch);
    return run.trainer.output("loss").view<double>()[0];
  };
  loss();
  const TensorMap gradients = run.trainer.gradients();
  // Truncation h^2 / 6 and rounding 1e-16 / h are both near 1e-11; 1e-6 is what the project states for its gradients.
  const double h = 1e-5;
  double largest = 0;
  for (const std::string& name : parameters.names()) {
    HostTensor moved = parameters.get(name);
    const support::Vector gradient = widen(gradients.at(name));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      double& element = moved.view<double>()[i];
      const double at = element;
      element = at + h, parameters.set(name, moved);
      const double above = loss();
      element = at - h, parameters.set(name, moved);
      const double below = loss();
      element = at;
      EXPECT_NEAR(gradient[i], (above - below) / (2 * h), 1e-6) << name << " " << i;
      largest = std::max(largest, std::abs(gradient[i]));
    }
    parameters.set(name, moved);
  }
  EXPECT_GT(largest, 1e-2);
}

TEST(Backward, BringsNothingToTheHostButTheLoss) {
  const auto backend = std::make_shared<support::CountingBackend>(cpu_device(2).share());
  const Device device(backend);
  Training run(device, everything(CellKind::gru));
  const Batch batch = tagger_batch(5, 4, 1);
  run.trainer.backward(batch);
  backend->reset();
  run.trainer.backward(batch);
  EXPECT_EQ(backend->runs, 1);
  EXPECT_EQ(backend->uploads, 3);  // ids, labels, lengths
  EXPECT_EQ(backend->downloads + backend->zeros, 0);
  EXPECT_EQ(backend->fetched_bytes, 4);  // the loss
  EXPECT_EQ(backend->operations.count("gradient_norm") + backend->operations.count("optimizer"), 0u);
  EXPECT_EQ(backend->operations.count("recurrent_backward"), 1u);
}

TEST(Backward, TakesNoMoreMemoryThanAStep) {
  const Device device = cpu_device(2);
  Training run(device, everything(CellKind::lstm));
  const Batch batch = tagger_batch(9, 6, 1);
  const std::int64_t predicted = run.trainer.predicted_peak_bytes(batch);
  run.trainer.backward(batch);
  run.trainer.step(batch);
  for (int i = 0; i < 2; ++i) run.trainer.accumulate(batch, 0.5f);
  run.trainer.update();
  EXPECT_LE(device.memory().peak, run.trainer.predicted_peak_bytes(batch));
  EXPECT_LE(device.memory().peak - predicted, run.tagger.parameters.elements() * 8);  // what is added lies in the arena
}

TEST(Backward, SteadyStateAllocatesNothing) {
  Training run(support::sharing_cpu(2), everything(CellKind::lstm));
  const Batch batches[] = {tagger_batch(5, 4, 1), tagger_batch(7, 3, 2)};
  const auto all = [&] {
    for (const Batch& b : batches) run.trainer.backward(b);
    for (const Batch& b : batches) run.trainer.accumulate(b, 0.5f);
    for (const Batch& b : batches) run.trainer.accumulate(b, 0.25f);
    run.trainer.update();
    for (int i = 0; i < 2; ++i) run.trainer.accumulate(batches[i], 2.f), run.trainer.accumulate(batches[1 - i]);
    run.trainer.update();
  };
  all(), all();
  support::AllocationCounter counter;
  all();
  EXPECT_EQ(counter.count(), 0);
}

// Backward from a gradient that the caller gives is that of the loss sum(y * dy), which is what dy is the gradient of.
TEST(Backward, FromAGivenGradient) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const Device device = cpu_device(2);
    TaggerOptions options = everything(CellKind::lstm);
    options.dtype = dtype;
    Tagger a(device, options), b(device, options);
    const auto dy_of = [&](Graph& g) { return g.input("dy", dtype, {"T", "N", "K"}); };
    Trainer given(device, a.parameters, Sgd{.rate = 0.1f}, [&](Graph& g) { return Objective{a.scores(g), dy_of(g)}; });
    Trainer sum(device, b.parameters, Sgd{.rate = 0.1f},
                [&](Graph& g) { return reduce_all(mul(b.scores(g), dy_of(g)), Reduction::sum); });
    Batch batch = tagger_batch(5, 4, 3);
    batch.erase("labels");
    batch["dy"] = support::tensor(dtype, {5, 4, Tagger::kLabels}, support::random_vector(100, 4));
    EXPECT_TRUE(std::isnan(given.backward(batch)));
    sum.backward(batch);
    expect_same(given.gradients(), sum.gradients(), "gradients");
    EXPECT_TRUE(std::isnan(given.step(batch)));
    sum.step(batch);
    EXPECT_FALSE(given.report().skipped);
    expect_same(a.parameters.all(), b.parameters.all(), "after a step");
    given.accumulate(batch), sum.accumulate(batch);
    given.accumulate(batch), sum.accumulate(batch);
    given.update(), sum.update();
    expect_same(a.parameters.all(), b.parameters.all(), "after an update of two batches");
    EXPECT_THROW(given.accumulate(batch, 0.5f), Error);
    EXPECT_THROW(given.output("loss"), Error);
  }
}

TEST(Backward, FromAGivenGradientBringsNothingToTheHost) {
  const auto backend = std::make_shared<support::CountingBackend>(cpu_device(1).share());
  const Device device(backend);
  Parameters parameters(device, 1);
  parameters.add("w", {3}, {Initializer::Kind::constant, 2.f});
  parameters.add("dy", {3}, {Initializer::Kind::constant, 3.f});
  Trainer trainer(device, parameters, Sgd{}, [&](Graph& g) {
    const Value w = parameters.use(g, "w");
    return Objective{mul(w, w), parameters.use(g, "dy")};
  });
  backend->reset();
  trainer.backward({});
  EXPECT_EQ(backend->downloads + backend->uploads + backend->zeros + backend->fetched_bytes, 0);
  EXPECT_EQ(widen(trainer.gradient("w")), (support::Vector{12, 12, 12}));
  EXPECT_EQ(widen(trainer.gradient("dy")), (support::Vector{0, 0, 0}));
  EXPECT_EQ(backend->zeros, 0);
}

std::string message_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.what();
  }
  return "nothing was thrown";
}

TEST(Backward, RefusesAGradientOfAnotherShape) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("w", {3}, {});
  parameters.add("dy", {2}, {});
  Trainer trainer(device, parameters, Sgd{}, [&](Graph& g) {
    return Objective{parameters.use(g, "w"), parameters.use(g, "dy")};
  });
  EXPECT_EQ(
      message_of([&] { trainer.backward({}); }),
      "Trainer: build must return with a value of f32 [3] a gradient of the same, of the same graph, got f32 [2]");
}

// What a batch's graph leaves out has no gradient, whatever the batch before it wrote.
TEST(Backward, AGradientDoesNotOutliveItsBatch) {
  for (const int way : {0, 1, 2}) {
    const Device device = cpu_device(1);
    Parameters parameters(device, 1);
    parameters.add("always", {2}, {Initializer::Kind::constant, 1.f});
    parameters.add("at_times", {2}, {Initializer::Kind::constant, 1.f});
    Trainer trainer(device, parameters, Sgd{.rate = 0.5f}, [&](Graph& g) {
      const Value loss = reduce_all(parameters.use(g, "always"), Reduction::sum);
      if (!g.has_input("extra")) return loss;
      const Value extra = g.input("extra", DType::f32, {"2"});
      return add(loss, reduce_all(mul(parameters.use(g, "at_times"), extra), Reduction::sum));
    });
    const Batch with{{"extra", HostTensor::of({2}, std::vector<float>{3, 4})}};
    const auto run = [&](const Batch& batch) {
      if (way == 0) trainer.backward(batch);
      if (way == 1) trainer.step(batch);
      if (way == 2) trainer.accumulate(batch), trainer.update();
    };
    run(with);
    EXPECT_EQ(widen(trainer.gradient("at_times")), (support::Vector{3, 4}));
    const auto before = parameters.get("at_times").bytes;
    run({});
    EXPECT_EQ(widen(trainer.gradient("at_times")), (support::Vector{0, 0}));
    EXPECT_EQ(parameters.get("at_times").bytes, before);
    run(with);
    EXPECT_EQ(widen(trainer.gradient("at_times")), (support::Vector{3, 4}));
    trainer.accumulate({}), trainer.accumulate(with), trainer.accumulate({}), trainer.accumulate(with);
    EXPECT_EQ(widen(trainer.gradient("at_times")), (support::Vector{6, 8}));
    EXPECT_EQ(widen(trainer.gradient("always")), (support::Vector{4, 4}));
    EXPECT_FLOAT_EQ(trainer.update().gradient_norm, std::sqrt(6.f * 6 + 8 * 8 + 2 * 4 * 4));
    trainer.backward(with);
    trainer.step({});
    EXPECT_FLOAT_EQ(trainer.report().gradient_norm, std::sqrt(2.f));
    trainer.backward(with), trainer.backward({});
    EXPECT_EQ(widen(trainer.gradient("at_times")), (support::Vector{0, 0}));
    trainer.accumulate({});
    EXPECT_FLOAT_EQ(trainer.update().gradient_norm, std::sqrt(2.f));
  }
}

TEST(Accumulate, OneBatchIsAStep) {
  for (const Optimizer& optimizer : support::all_optimizers()) {
    Training whole(cpu_device(2), everything(CellKind::gru), optimizer);
    Training parts(cpu_device(2), everything(CellKind::gru), optimizer);
    for (unsigned i = 0; i < 4; ++i) {
      const Batch batch = tagger_batch(5 + i % 2, 4, i);
      const float loss = whole.trainer.step(batch);
      EXPECT_EQ(parts.trainer.accumulate(batch), loss);
      EXPECT_EQ(parts.trainer.accumulated(), 1);
      const StepReport& report = parts.trainer.update();
      EXPECT_EQ(report.loss, loss);
      EXPECT_EQ(report.gradient_norm, whole.trainer.report().gradient_norm);
      EXPECT_EQ(parts.trainer.accumulated(), 0);
    }
    expect_same(parts.tagger.parameters.all(), whole.tagger.parameters.all(), "parameters");
    expect_same(parts.trainer.state(), whole.trainer.state(), "state");
  }
}

/// Sequences [begin, end) of a batch, and how many labels they have.
std::pair<Batch, double> part_of(const Batch& batch, std::int64_t begin, std::int64_t end) {
  Batch part;
  for (const auto& [name, tensor] : batch) {
    const std::int64_t N = tensor.shape[tensor.shape.rank() - 1], rows = tensor.shape.elements() / N;
    std::vector<std::int32_t> values;
    for (std::int64_t t = 0; t < rows; ++t) {
      for (std::int64_t n = begin; n < end; ++n)
        values.push_back(tensor.view<std::int32_t>()[static_cast<std::size_t>(t * N + n)]);
    }
    part[name] =
        name == "lengths" ? HostTensor::of({end - begin}, values) : HostTensor::of({rows, end - begin}, values);
  }
  double labels = 0;
  for (const std::int32_t length : part.at("lengths").view<std::int32_t>()) labels += length;
  return {part, labels};
}

TEST(Accumulate, HalfBatchesAreTheWhole) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const CellKind cell : kCells) {
      TaggerOptions options{.cell = cell, .layers = 2, .radius = 1, .dtype = dtype};
      Training whole(cpu_device(2), options), parts(cpu_device(2), options);
      // The sums over 8 sequences of up to 9 steps are made in another order: 72 roundings, of sums of order 1.
      const double tolerance = 72 * (dtype == DType::f32 ? 6e-8 : 1.2e-16);
      const Batch batch = tagger_batch(9, 8, 5);
      const auto [first, first_labels] = part_of(batch, 0, 3);
      const auto [second, second_labels] = part_of(batch, 3, 8);
      const auto share = [&, a = first_labels, b = second_labels](double labels) {
        return static_cast<float>(labels / (a + b));
      };
      // Shares in f32 are off by 2^-25 of themselves, in f64 too.
      const double rounded = tolerance + 6e-8;
      whole.trainer.step(batch);
      parts.trainer.accumulate(first, share(first_labels));
      parts.trainer.accumulate(second, share(second_labels));
      for (const std::string& name : whole.tagger.parameters.names()) {
        EXPECT_LE(support::distance(widen(parts.trainer.gradient(name)), widen(whole.trainer.gradient(name))), rounded)
            << to_string(cell) << " " << to_string(dtype) << " " << name;
      }
      EXPECT_NEAR(parts.trainer.update().loss, whole.trainer.report().loss, 4 * rounded);
      EXPECT_NEAR(parts.trainer.report().gradient_norm, whole.trainer.report().gradient_norm, 4 * rounded);
      EXPECT_EQ(parts.trainer.steps(), 1);
    }
  }
}

// Exact in f64 where weights are powers of two: halves of the same number of labels.
TEST(Accumulate, EqualHalvesAreTheWhole) {
  TaggerOptions options{.layers = 2, .dtype = DType::f64};
  Training whole(cpu_device(2), options, Sgd{.rate = 0.5f}), parts(cpu_device(2), options, Sgd{.rate = 0.5f});
  for (unsigned i = 0; i < 5; ++i) {
    Batch batch = tagger_batch(6, 8, i);
    for (std::int32_t& length : batch.at("lengths").view<std::int32_t>()) length = 6;
    whole.trainer.step(batch);
    for (const std::int64_t begin : {0, 4}) parts.trainer.accumulate(part_of(batch, begin, begin + 4).first, 0.5f);
    parts.trainer.update();
  }
  for (const auto& [name, value] : whole.tagger.parameters.all()) {
    EXPECT_LE(support::distance(widen(parts.tagger.parameters.get(name)), widen(value)), 1e-13) << name;
  }
}

TEST(Accumulate, EachBatchDrawsItsOwnMasks) {
  const auto sum_of = [](int batches, int steps_before) {
    Training run(cpu_device(1), {.dropout = 0.5f}, Sgd{.rate = 0.f});
    const Batch batch = tagger_batch(5, 4, 1);
    for (int i = 0; i < steps_before; ++i) run.trainer.step(batch);
    for (int i = 0; i < batches; ++i) run.trainer.accumulate(batch);
    return widen(run.trainer.gradient("head.weight"));
  };
  const support::Vector one = sum_of(1, 0), two = sum_of(2, 0), next = sum_of(1, 1);
  support::Vector second(one.size());
  for (std::size_t i = 0; i < one.size(); ++i) second[i] = two[i] - one[i];
  EXPECT_GT(support::distance(second, one), 1e-3);
  EXPECT_GT(support::distance(second, next), 1e-3);
  EXPECT_EQ(sum_of(2, 0), two);
}

TEST(Accumulate, WaitingGradientsAreNotLost) {
  Training run(cpu_device(1), everything(CellKind::lstm));
  Trainer& trainer = run.trainer;
  const Batch batch = tagger_batch(5, 4, 1), other = tagger_batch(4, 4, 2);
  EXPECT_EQ(
      message_of([&] { trainer.update(); }),
      "Trainer::update: gradients must have been accumulated since the last update; call accumulate(batch) first");
  trainer.accumulate(batch), trainer.accumulate(other);
  const TensorMap sum = trainer.gradients();
  for (const std::function<void()>& use :
       {std::function<void()>([&] { trainer.step(batch); }), std::function<void()>([&] { trainer.trace(batch); })}) {
    EXPECT_NE(message_of(use).find("accumulated gradients (of 2) wait where its own would go; call update()"),
              std::string::npos)
        << message_of(use);
  }
  EXPECT_THROW(trainer.accumulate({}), Error);  // refused before it runs
  EXPECT_EQ(trainer.accumulated(), 2);
  expect_same(trainer.gradients(), sum, "the sum");
  trainer.backward(batch);  // has gradients of its own
  EXPECT_NE(trainer.gradient("head.weight").bytes, sum.at("head.weight").bytes);
  Training undisturbed(cpu_device(1), everything(CellKind::lstm));
  undisturbed.trainer.accumulate(batch), undisturbed.trainer.accumulate(other);
  trainer.update(), undisturbed.trainer.update();
  expect_same(trainer.gradients(), sum, "the sum that the update used");
  expect_same(run.tagger.parameters.all(), undisturbed.tagger.parameters.all(), "after the update");
  trainer.accumulate(batch);
  EXPECT_NE(
      message_of([&] { trainer.accumulate(batch, std::numeric_limits<float>::infinity()); }).find("must be finite"),
      std::string::npos);
  trainer.discard();
  EXPECT_EQ(trainer.accumulated(), 0);
  trainer.step(batch);
  EXPECT_EQ(trainer.steps(), 2);
}

TEST(Accumulate, AFailedBatchDropsTheSum) {
  Training run(cpu_device(2), everything(CellKind::lstm)), fresh(cpu_device(2), everything(CellKind::lstm));
  const Batch batch = tagger_batch(5, 4, 1);
  Batch bad = batch;
  bad.at("ids").view<std::int32_t>()[3] = 99;
  const TensorMap state = run.trainer.state();
  run.trainer.accumulate(batch);
  EXPECT_THROW(run.trainer.accumulate(bad, 0.5f), Error);
  EXPECT_EQ(run.trainer.accumulated(), 0);
  expect_same(run.trainer.state(), state, "state");
  EXPECT_THROW(run.trainer.update(), Error);
  EXPECT_EQ(run.trainer.step(batch), fresh.trainer.step(batch));
  expect_same(run.tagger.parameters.all(), fresh.tagger.parameters.all(), "after a step");
}

TEST(Accumulate, NonFiniteSumSkipsTheUpdate) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("w", {2}, {Initializer::Kind::constant, 1.f});
  Trainer trainer(device, parameters, Adam{}, [&](Graph& g) {
    return reduce_all(mul(parameters.use(g, "w"), g.input("x", DType::f32, {"2"})), Reduction::sum);
  });
  const auto batch = [](float a) { return Batch{{"x", HostTensor::of({2}, std::vector<float>{a, 1})}}; };
  const auto before = parameters.get("w").bytes;
  trainer.accumulate(batch(1)), trainer.accumulate(batch(std::numeric_limits<float>::infinity()));
  EXPECT_TRUE(trainer.update().skipped);
  EXPECT_EQ(trainer.report().non_finite_parameter, "w");
  EXPECT_EQ(parameters.get("w").bytes, before);
  trainer.accumulate(batch(1));
  EXPECT_FALSE(trainer.update().skipped);
  EXPECT_NE(parameters.get("w").bytes, before);
}

TEST(Accumulate, ResumesBetweenUpdates) {
  const auto update = [](Training& run, unsigned i) {
    run.trainer.accumulate(tagger_batch(5, 4, i), 0.25f), run.trainer.accumulate(tagger_batch(6, 3, i), 0.75f);
    return run.trainer.update().loss;
  };
  Training run(cpu_device(2), everything(CellKind::lstm)), again(cpu_device(2), everything(CellKind::lstm));
  for (unsigned i = 0; i < 3; ++i) update(run, i);
  const TensorMap parameters = run.tagger.parameters.all(), state = run.trainer.state();
  again.trainer.accumulate(tagger_batch(5, 4, 9));  // restore() drops it
  again.tagger.parameters.set_all(parameters);
  again.trainer.restore(state);
  EXPECT_EQ(again.trainer.accumulated(), 0);
  for (unsigned i = 3; i < 6; ++i) EXPECT_EQ(update(again, i), update(run, i));
  expect_same(again.tagger.parameters.all(), run.tagger.parameters.all(), "parameters");
}

// A state whose control words were written before they held a weight has zeros there.
TEST(Accumulate, AnOldStateHasNoWeight) {
  Training run(cpu_device(1), {}, Sgd{}), other(cpu_device(1), {}, Sgd{});
  TensorMap state = run.trainer.state();
  std::vector<std::byte>& control = state.at("control").bytes;
  std::fill(control.end() - 16, control.end(), std::byte{0});
  run.trainer.restore(state);
  const Batch batch = tagger_batch(5, 4, 1);
  EXPECT_EQ(run.trainer.backward(batch), other.trainer.backward(batch));
  expect_same(run.trainer.gradients(), other.trainer.gradients(), "gradients");
}

}  // namespace
}  // namespace seqgpu
