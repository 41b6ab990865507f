#include <gtest/gtest.h>

#include <cstdio>

#include "tests/support/gradient_check.hpp"

// Both entry points through the graph: gradients against central differences, policies, and what wrong use says.
namespace seqgpu {
namespace {

using support::Case;
using support::leaf;
using support::Scope;

HostTensor ints(const Shape& shape, std::vector<std::int32_t> values) { return HostTensor::of(shape, values); }

struct Variant {
  bool log_probs = false, concatenated = false, weighted = false;
  CtcOptions options;
};

/// T 6, N 4, C 4: a repeat, no label, too many labels or, in the last sequence, too few frames.
Case ctc_case(const Variant& v) {
  const bool impossible = v.options.impossible == ImpossibleTarget::zero;
  Batch batch;
  const std::int32_t last = impossible ? 2 : 5;
  batch["frames"] = ints({4}, {6, 5, 3, last});
  batch["labels"] = ints({4}, {3, 2, 0, 3});
  if (v.concatenated) {
    batch["targets"] = ints({8}, {1, 1, 2, 2, 1, 1, 2, 1});
  } else {
    batch["targets"] = ints({4, 3}, {1, 1, 2, 2, 1, -9, 99, -9, 0, 1, 2, 1});
  }
  batch["weights of f32"] = HostTensor::of<float>({4}, {0.5f, 2.f, 0.f, 3.f});
  batch["weights of f64"] = HostTensor::of<double>({4}, {0.5, 2., 0., 3.});
  std::vector<support::Leaf> leaves = {leaf("x", {6, 4, 4}, 2)};
  return {
      "ctc", leaves, batch, [v](const Scope& s) {
        CtcInputs in;
        in.targets = v.concatenated ? s.ids("targets", {"labels"}) : s.ids("targets", {"N", "L"});
        in.target_lengths = s.ids("labels", {"N"});
        in.input_lengths = s.ids("frames", {"N"});
        const Value x = s("x");
        const char* weights = x.dtype() == DType::f64 ? "weights of f64" : "weights of f32";
        if (v.weighted) in.weights = s.graph.input(weights, x.dtype(), {"N"});
        return std::vector{(v.log_probs ? ctc_loss_from_log_probs(x, in, v.options) : ctc_loss(x, in, v.options)).loss};
      }};
}

constexpr CtcReduction kReductions[] = {CtcReduction::none,           CtcReduction::sum,
                                        CtcReduction::mean_by_target, CtcReduction::mean_by_batch,
                                        CtcReduction::mean_by_frames, CtcReduction::mean_by_tokens};

TEST(CtcGradients, MatchCentralDifferences) {
  const Device device = cpu_device(1);
  std::int64_t compared = 0, cases = 0;
  for (const CtcReduction reduction : kReductions) {
    for (const auto impossible : {ImpossibleTarget::infinite, ImpossibleTarget::zero, ImpossibleTarget::error}) {
      for (const int bits : {0, 1, 2, 3, 4, 5, 6, 7}) {
        Variant v;
        v.log_probs = bits & 1;
        v.concatenated = bits & 2;
        v.weighted = bits & 4;
        v.options.reduction = reduction;
        v.options.impossible = impossible;
        v.options.blank = bits & 2 ? -1 : 3;
        compared += support::expect_gradients(ctc_case(v), device);
        support::expect_float_gradients(ctc_case(v), device, 20);
        ++cases;
      }
    }
  }
  std::printf("ctc: %ld configurations, %ld gradient elements\n", static_cast<long>(cases),
              static_cast<long>(compared));
}

TEST(CtcGradients, WeightsHaveNone) {
  Case c = ctc_case({});
  c.build = [](const Scope& s) {
    CtcInputs in;
    in.targets = s.ids("targets", {"N", "L"});
    in.target_lengths = s.ids("labels", {"N"});
    const Value x = s("x");
    in.weights = reduce(reduce(x, Reduction::sum, 2), Reduction::sum, 0);
    return std::vector{ctc_loss(x, in).loss};
  };
  try {
    support::expect_gradients(c, cpu_device(1));
    FAIL() << "a gradient that is not there was given";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
  }
}

/// One sequence of zero logits [T, 1, 4], run for its gradient and outputs.
struct Single {
  explicit Single(CtcOptions options, std::int64_t frames, std::vector<std::int32_t> target)
      : device(cpu_device(1)), parameters(device, 1, DType::f32) {
    parameters.add("x", {frames, 1, 4}, {});
    const auto count = static_cast<std::int64_t>(target.size());
    batch["targets"] = ints({1, count}, target);
    trainer.emplace(device, parameters, Sgd{.rate = 0.f}, [=, this](Graph& g) {
      CtcInputs in;
      in.targets = g.input("targets", DType::i32, {"N", "L"});
      const CtcResult r = ctc_loss(parameters.use(g, "x"), in, options);
      g.output("status", r.status);
      g.output("each", r.per_sequence);
      return r.loss;
    });
  }
  Device device;
  Parameters parameters;
  Batch batch;
  std::optional<Trainer> trainer;
};

TEST(CtcGradients, Policies) {
  for (const auto impossible : {ImpossibleTarget::infinite, ImpossibleTarget::zero}) {
    CtcOptions options;
    options.impossible = impossible;
    Single s(options, 3, {1, 1, 2});  // needs 4
    const float loss = s.trainer->step(s.batch);
    EXPECT_EQ(std::isinf(loss), impossible == ImpossibleTarget::infinite);
    if (impossible == ImpossibleTarget::zero) {
      EXPECT_EQ(loss, 0.f);
    }
    EXPECT_EQ(s.trainer->output("status").view<std::int32_t>()[0], 4);
    EXPECT_TRUE(std::isinf(s.trainer->output("each").view<float>()[0]));
    const HostTensor gradient = s.trainer->gradient("x");
    for (const float g : gradient.view<float>()) EXPECT_EQ(g, 0.f);
  }
}

void expect_error(const std::string& what, CtcOptions options, std::int64_t frames, std::vector<std::int32_t> target) {
  Single s(options, frames, std::move(target));
  try {
    s.trainer->step(s.batch);
    ADD_FAILURE() << "nothing thrown, expected: " << what;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(std::string(e.what()), what);
  }
}

TEST(CtcGradients, IllegalInput) {
  CtcOptions options;
  expect_error("ctc_loss: targets[0, 1] must be in [0, 4) and not the blank 0, got 4: label 1 of sequence 0", options,
               5, {1, 4});
  expect_error("ctc_loss: targets[0, 0] must be in [0, 4) and not the blank 0, got 0: label 0 of sequence 0", options,
               5, {0, 1});
  expect_error("ctc_loss: targets[0, 1] must be in [0, 4) and not the blank 0, got -2147483648: label 1 of sequence 0",
               options, 5, {1, std::numeric_limits<std::int32_t>::min()});
  options.impossible = ImpossibleTarget::error;
  expect_error("ctc_loss: targets sequence 0 is impossible: its 3 labels with 1 adjacent repeats need 4 frames, got 3",
               options, 3, {1, 1, 2});
}

}  // namespace
}  // namespace seqgpu
