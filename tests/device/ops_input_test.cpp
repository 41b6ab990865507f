#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/device/device_under_test.hpp"
#include "tests/ops/cases.hpp"

// What a tensor may hold that no shape forbids: illegal ids, labels and lengths, and anything at all in padding.
namespace seqgpu::ops {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// A model of one operation on x, whose parameters a failed step must leave alone.
struct Model {
  Parameters parameters;
  Trainer trainer;

  Model(const Device& device, const Shape& shape, const std::function<Value(Graph&, Value)>& loss)
      : parameters(device, 1), trainer(device, declared(shape), Adam{.rate = 0.1f}, [=, this](Graph& g) {
          return loss(g, parameters.use(g, "x"));
        }) {}

 private:
  Parameters& declared(const Shape& shape) {
    parameters.add("x", shape, {});
    parameters.set("x", support::tensor(DType::f32, shape, support::random_vector(shape.elements(), 1)));
    return parameters;
  }
};

struct Illegal {
  const char* name;
  Shape shape;
  std::function<Value(Graph&, Value)> loss;
  Batch good;
  std::vector<Batch> bad;
};

Value sum(Value x) { return reduce_all(x, Reduction::sum); }

std::vector<Illegal> illegal() {
  const auto lengths = [](Graph& g) { return g.input("lengths", DType::i32, {"N"}); };
  const auto batch = [](const reference::Ints& l) { return Batch{{"lengths", ints({3}, l)}}; };
  std::vector<Illegal> all;
  all.push_back({"embedding",
                 {5, 3},
                 [](Graph& g, Value x) { return sum(embedding(x, g.input("ids", DType::i32, {"C"}))); },
                 {{"ids", ints({4}, {0, 4, 4, 1})}},
                 {{{"ids", ints({4}, {0, 5, -1, 1})}}, {{"ids", ints({4}, {0, 1, 2, -7})}}}});
  all.push_back({"context_window",
                 {4, 3, 2},
                 [=](Graph& g, Value x) { return sum(context_window(x, 1, lengths(g))); },
                 batch({4, 0, 2}),
                 {batch({4, 5, -1}), batch({0, 0, -2})}});
  all.push_back({"mean_squared_error",
                 {4, 3, 2},
                 [=](Graph& g, Value x) { return mean_squared_error(x, affine(x, 2), lengths(g)); },
                 batch({4, 0, 2}),
                 {batch({4, 5, -1}), batch({-3, 0, 2})}});
  const auto labels = [](const reference::Ints& l, const reference::Ints& n) {
    return Batch{{"labels", ints({4, 3}, l)}, {"lengths", ints({3}, n)}};
  };
  const reference::Ints fine{0, 1, 1, 0, 1, 0, -100, 1, 0, 1, 9, 9};
  reference::Ints high = fine, two = fine;
  high[7] = 2, two[9] = -1, two[3] = 5;
  all.push_back({"cross_entropy",
                 {4, 3, 2},
                 [=](Graph& g, Value x) {
                   return cross_entropy(x, g.input("labels", DType::i32, {"T", "N"}), lengths(g));
                 },
                 labels(fine, {4, 3, 3}),
                 {labels(high, {4, 3, 3}), labels(two, {4, 3, 3}), labels(fine, {4, 4, 3}), labels(two, {4, 3, 9})}});
  return all;
}

std::string message_of(Trainer& trainer, const Batch& batch) {
  try {
    trainer.step(batch);
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.what();
  }
  return "nothing";
}

// The CPU's words; parameters and moments as before; the next step as if nothing had been.
TEST(DeviceInput, IllegalContentIsReportedAndChangesNothing) {
  for (const Illegal& c : illegal()) {
    Model here(device_under_test(), c.shape, c.loss), there(cpu_device(1), c.shape, c.loss);
    for (int round = 0; round < 3; ++round) {  // plain, captured, replayed
      here.trainer.step(c.good), there.trainer.step(c.good);
      const TensorMap state = here.trainer.state();
      const HostTensor x = here.parameters.get("x");
      for (const Batch& bad : c.bad) {
        const std::string want = message_of(there.trainer, bad);
        EXPECT_NE(want, "nothing") << c.name;
        EXPECT_EQ(message_of(here.trainer, bad), want) << c.name;
        EXPECT_TRUE(here.parameters.get("x").bytes == x.bytes) << c.name;
        for (const auto& [name, tensor] : here.trainer.state())
          EXPECT_TRUE(tensor.bytes == state.at(name).bytes) << c.name << " " << name;
      }
      EXPECT_EQ(here.trainer.steps(), there.trainer.steps());
    }
    EXPECT_LE(support::distance(support::widen(here.parameters.get("x")), support::widen(there.parameters.get("x"))),
              1e-6)
        << c.name;
  }
}

/// Steps with NaN where nothing counts, and checks that losses and gradients are those of zeros there.
void check_padding(const char* name, const std::function<Value(Graph&, Value)>& loss, const Batch& batch,
                   const std::vector<bool>& counts, int64_t width) {
  const auto rows = static_cast<int64_t>(counts.size());
  const Shape shape{rows / 3, 3, width};
  Vector clean = support::random_vector(shape.elements(), 7), dirty = clean;
  for (std::size_t i = 0; i < clean.size(); ++i) {
    if (!counts[i / static_cast<std::size_t>(width)]) clean[i] = 0, dirty[i] = i % 2 ? kNan : INFINITY;
  }
  const auto run = [&](const Vector& x) {
    Parameters parameters(device_under_test(), 1);
    parameters.add("x", shape, {});
    parameters.set("x", support::tensor(DType::f32, shape, x));
    Trainer trainer(device_under_test(), parameters, Sgd{.rate = 0.f},
                    [&](Graph& g) { return loss(g, parameters.use(g, "x")); });
    const float value = trainer.step(batch);
    return std::pair(value, support::widen(trainer.gradient("x")));
  };
  const auto [loss_dirty, d_dirty] = run(dirty);
  const auto [loss_clean, d_clean] = run(clean);
  EXPECT_EQ(loss_dirty, loss_clean) << name;
  EXPECT_TRUE(std::isfinite(loss_dirty)) << name;
  EXPECT_EQ(d_dirty, d_clean) << name;
  for (std::size_t i = 0; i < d_dirty.size(); ++i) {
    EXPECT_TRUE(counts[i / static_cast<std::size_t>(width)] || d_dirty[i] == 0) << name << " " << i;
  }
}

TEST(DeviceInput, PaddingDoesNotLeak) {
  const int64_t T = 7, N = 3;
  const reference::Ints lengths{7, 0, 4};
  Batch batch{{"lengths", ints({N}, lengths)}};
  reference::Ints labels;
  std::vector<bool> in_sequence, in_loss;
  for (int64_t r = 0; r < T * N; ++r) {
    labels.push_back(r % 5 == 3 ? -100 : 0);
    in_sequence.push_back(r / N < lengths[static_cast<std::size_t>(r % N)]);
    in_loss.push_back(in_sequence.back() && labels.back() != -100);
    if (!in_sequence.back()) labels.back() = 1234567;  // never looked at
  }
  const auto length = [](Graph& g) { return g.input("lengths", DType::i32, {"N"}); };
  for (const int64_t width : {1, 5, 33, 1500}) {
    check_padding(
        "window", [=](Graph& g, Value x) { return sum(context_window(x, 2, length(g))); }, batch, in_sequence, width);
    check_padding(
        "squared error", [=](Graph& g, Value x) { return mean_squared_error(x, affine(x, 0.5f), length(g)); }, batch,
        in_sequence, width);
    Batch labelled = batch;
    labelled["labels"] = ints({T, N}, labels);
    for (const float smoothing : {0.f, 0.1f})
      check_padding(
          "cross entropy",
          [=](Graph& g, Value x) {
            return cross_entropy(x, g.input("labels", DType::i32, {"T", "N"}), length(g),
                                 {.label_smoothing = smoothing});
          },
          labelled, in_loss, width);
  }
}

TEST(DeviceInput, DoublesStayOnTheCpu) {
  if (device_under_test().kind() == DeviceKind::cpu) GTEST_SKIP() << "the CPU computes f64";
  const Case c = affine_case(3, 2, 1);
  try {
    support::run_values(c, DType::f64, false, device_under_test());
    ADD_FAILURE() << "nothing thrown";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::unsupported);
    EXPECT_NE(std::string(e.what()).find("f64 runs on the CPU only"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace seqgpu::ops
