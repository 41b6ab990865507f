#include <gtest/gtest.h>

#include "seqgpu/error.hpp"
#include "seqgpu/seqgpu.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/support/gradient_check.hpp"

// CTC inside a training step: planned, captured and replayed, with lengths and labels that change from step to step.
namespace seqgpu {
namespace {

HostTensor ints(const Shape& shape, const std::vector<std::int32_t>& values) { return HostTensor::of(shape, values); }

/// Logits [T, N, C] as parameters.
struct Model {
  Model(const Device& device, bool log_probs)
      : parameters(device, 1), trainer(device, declared(), Adam{.rate = 0.1f}, [=, this](Graph& g) {
          CtcInputs in;
          in.targets = g.input("targets", DType::i32, {"N", "L"});
          in.target_lengths = g.input("labels", DType::i32, {"N"});
          in.input_lengths = g.input("frames", DType::i32, {"N"});
          const Value x = parameters.use(g, "x");
          CtcOptions options;
          options.blank = -1;
          options.impossible = ImpossibleTarget::error;
          options.posteriors = options.alignment = true;
          const CtcResult r =
              log_probs ? ctc_loss_from_log_probs(log_softmax(x), in, options) : ctc_loss(x, in, options);
          g.output("posteriors", r.posteriors);
          g.output("alignment", r.alignment);
          g.output("status", r.status);
          return r.loss;
        }) {}
  Parameters parameters;
  Trainer trainer;

 private:
  Parameters& declared() {
    parameters.add("x", {11, 3, 6}, {.kind = Initializer::Kind::uniform, .scale = 2.f});
    return parameters;
  }
};

Batch batch(const std::vector<std::int32_t>& targets, const std::vector<std::int32_t>& labels,
            const std::vector<std::int32_t>& frames) {
  return {{"targets", ints({3, 4}, targets)}, {"labels", ints({3}, labels)}, {"frames", ints({3}, frames)}};
}

void expect_near(const HostTensor& a, const HostTensor& b, const char* what) {
  ASSERT_EQ(a.shape, b.shape);
  for (std::size_t i = 0; i < a.view<float>().size(); ++i) {
    ASSERT_NEAR(a.view<float>()[i], b.view<float>()[i], 2e-5) << what << " " << i;
  }
}

std::string refusal(Trainer& trainer, const Batch& bad) {
  try {
    trainer.step(bad);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.what();
  }
  return "nothing thrown";
}

TEST(DeviceCtcTraining, StepsAreThoseOfTheCpu) {
  const std::vector<std::int32_t> targets = {1, 1, 2, 4, 0, 3, 9, -9, 7, 7, 7, 7};
  const std::vector<Batch> good = {batch(targets, {4, 2, 0}, {11, 5, 9}), batch(targets, {3, 1, 0}, {4, 1, 0})};
  const std::vector<Batch> bad = {batch(targets, {4, 3, 0}, {11, 5, 9}), batch(targets, {4, 2, 1}, {11, 12, 9}),
                                  batch(targets, {4, 5, 0}, {11, 5, 9}), batch(targets, {4, 2, 0}, {4, 5, 9})};
  for (const bool log_probs : {false, true}) {
    Model here(device_under_test(), log_probs), there(cpu_device(1), log_probs);
    for (int round = 0; round < 4; ++round) {  // plain, captured, replayed
      for (const Batch& b : good) {
        EXPECT_NEAR(here.trainer.step(b), there.trainer.step(b), 1e-5);
        for (const char* name : {"posteriors", "alignment"}) {
          expect_near(here.trainer.output(name), there.trainer.output(name), name);
        }
        EXPECT_EQ(here.trainer.output("status").bytes, there.trainer.output("status").bytes);
        expect_near(here.trainer.gradient("x"), there.trainer.gradient("x"), "gradient");
      }
      const HostTensor x = here.parameters.get("x");
      for (const Batch& b : bad) {
        const std::string want = refusal(there.trainer, b);
        EXPECT_NE(want, "nothing thrown");
        EXPECT_EQ(refusal(here.trainer, b), want);
        EXPECT_TRUE(here.parameters.get("x").bytes == x.bytes);
      }
    }
  }
}

}  // namespace
}  // namespace seqgpu
