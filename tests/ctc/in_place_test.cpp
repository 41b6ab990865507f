#include <gtest/gtest.h>

#include "seqgpu/seqgpu.hpp"
#include "tests/ctc/run.hpp"
#include "tests/support/sharing_cpu.hpp"

// The gradient in the place of the logits: the same bits, less memory, and an error where it cannot be.
namespace seqgpu::ctc {
namespace {

template <class T>
void expect_same_gradient_in_place() {
  for (const bool log_probs : {false, true}) {
    for (std::int64_t C = 2; C <= 70; ++C) {  // whole packs, parts of packs, less than one
      auto p = random_problem<T>(7, 3, C, 2, 5);
      p.input_lengths = {7, 6, 5};
      p.desc.from_log_probs = log_probs;
      const auto apart = run(p);
      EXPECT_EQ(run_in_place(p).gradient, apart.gradient) << C << " classes" << (log_probs ? ", log_probs" : "");
    }
  }
}

TEST(CtcInPlace, GradientKeepsItsBits) {
  expect_same_gradient_in_place<float>();
  expect_same_gradient_in_place<double>();
}

constexpr std::int64_t kFrames = 40, kBatch = 6, kClasses = 1037, kWidth = 3;
constexpr std::int64_t kLogitBytes = kFrames * kBatch * kClasses * 4;

/// What makes a loss of x w.
using Build = std::function<Value(Graph&, Value logits, const CtcInputs&, const CtcOptions&)>;

struct Model {
  Model(const Device& device, bool in_place, const Build& build) : parameters(device, 3) {
    parameters.add("w", {kWidth, kClasses}, {Initializer::Kind::uniform, 1.f});
    std::vector<float> x;
    for (int i = 0; i < kFrames * kBatch * kWidth; ++i) x.push_back(static_cast<float>(i * 7919 % 101) / 50.f - 1.f);
    std::vector<std::int32_t> targets;
    for (std::int32_t i = 0; i < kBatch * 5; ++i) targets.push_back(1 + i * 11 % (kClasses - 1));
    batch["x"] = HostTensor::of({kFrames, kBatch, kWidth}, x);
    batch["targets"] = HostTensor::of({kBatch, 5}, targets);
    trainer.emplace(device, parameters, Sgd{.rate = 0.f}, [=, this](Graph& g) {
      const Value logits = matmul(g.input("x", DType::f32, {"T", "N", "I"}), parameters.use(g, "w"));
      CtcInputs in;
      in.targets = g.input("targets", DType::i32, {"N", "L"});
      CtcOptions options;
      options.gradient_in_place = in_place;
      return build(g, logits, in, options);
    });
  }
  std::vector<std::byte> gradient() {
    trainer->step(batch);
    return trainer->gradient("w").bytes;
  }
  std::int64_t peak() { return trainer->predicted_peak_bytes(batch); }

  Parameters parameters;
  Batch batch;
  std::optional<Trainer> trainer;
};

Value alone(Graph&, Value logits, const CtcInputs& in, const CtcOptions& o) { return ctc_loss(logits, in, o).loss; }

/// The logits are wanted by the caller, too.
Value kept(Graph& g, Value logits, const CtcInputs& in, const CtcOptions& o) {
  g.output("logits", logits);
  return alone(g, logits, in, o);
}

/// So is something made of them, off the way from the loss to the parameters: it may run late.
Value read_aside(Graph& g, Value logits, const CtcInputs& in, const CtcOptions& o) {
  g.output("most", reduce(reduce(reduce(logits, Reduction::max, 2), Reduction::max, 1), Reduction::max, 0));
  return alone(g, logits, in, o);
}

TEST(CtcInPlace, SavesTheSizeOfTheLogits) {
  for (const int threads : {1, 2, 4}) {
    const Device device = support::sharing_cpu(threads);
    Model in_place(device, true, alone), apart(device, false, kept), aside(device, true, read_aside);
    EXPECT_TRUE(in_place.gradient() == apart.gradient()) << threads;
    EXPECT_TRUE(aside.gradient() == apart.gradient()) << threads;
    // Forward's workspace lives beside the logits alone: where it is smaller than they are, backward made the peak.
    const std::int64_t least = kLogitBytes * 3 / 4;
    EXPECT_GE(apart.peak() - in_place.peak(), least) << threads;
    EXPECT_GE(apart.peak() - aside.peak(), least) << threads;
  }
}

void expect_refused(const Build& build, const std::string& why) {
  Model model(cpu_device(2), true, build);
  try {
    model.gradient();
    ADD_FAILURE() << "nothing thrown, expected: " << why;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(std::string(e.what()),
              "ctc_backward: gradient_in_place cannot be kept: its input [40, 6, 1037] must stay, " + why);
  }
  Model free(cpu_device(2), false, build);
  EXPECT_EQ(free.gradient().size(), static_cast<std::size_t>(kWidth * kClasses * 4));
}

TEST(CtcInPlace, RefusedWhereLogitsAreNeededLater) {
  expect_refused(kept, "being output \"logits\" of the graph; make that a copy, affine(x, 1)");
  const Build squashed = [](Graph& g, Value x, const CtcInputs& in, const CtcOptions& o) {
    return alone(g, tanh(x), in, o);
  };
  expect_refused(squashed, "as activation_backward reads it later; give one of the two a copy, affine(x, 1)");
}

TEST(CtcInPlace, RefusedWhereLogitsAreParameters) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("x", {5, 1, 4}, {});
  Trainer trainer(device, parameters, Sgd{.rate = 0.f}, [&](Graph& g) {
    CtcInputs in;
    in.targets = g.input("targets", DType::i32, {"N", "L"});
    CtcOptions options;
    options.gradient_in_place = true;
    return ctc_loss(parameters.use(g, "x"), in, options).loss;
  });
  const std::vector<std::int32_t> targets = {1, 2};
  try {
    trainer.step({{"targets", HostTensor::of({1, 2}, targets)}});
    FAIL() << "nothing thrown";
  } catch (const Error& e) {
    EXPECT_EQ(std::string(e.what()),
              "ctc_backward: gradient_in_place cannot be kept: its input [5, 1, 4] must stay, being a parameter; give "
              "the loss a copy, affine(x, 1)");
  }
}

}  // namespace
}  // namespace seqgpu::ctc
