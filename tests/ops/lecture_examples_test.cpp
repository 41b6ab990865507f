#include <gtest/gtest.h>

#include <cmath>

#include "seqgpu/seqgpu.hpp"
#include "tests/support/gradient_check.hpp"

// The worked examples by which recurrent networks are taught, through the public API.
namespace seqgpu {
namespace {

using support::Vector;

/// Sets every parameter of a model to one number.
void set_ones(Parameters& parameters) {
  for (const std::string& name : parameters.names()) {
    HostTensor t = parameters.get(name);
    for (float& v : t.view<float>()) v = 1;
    parameters.set(name, t);
  }
}

// Two linear hidden units that feed back, two linear outputs, all weights 1, no bias.
Vector elman_of_ones(const std::vector<float>& inputs) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  nn::RecurrentLayerOptions o{.cell = CellKind::elman, .input = 2, .hidden = 2, .bias = false};
  o.options.activation = Activation::linear;
  const nn::Recurrent rnn(parameters, "rnn", o);
  const nn::Linear head(parameters, "head", {.input = 2, .output = 2, .bias = false});
  set_ones(parameters);
  Session session(device, parameters, [&](Graph& g) {
    g.output("y", head(rnn(g.input("x", DType::f32, {"T", "N", "2"}))));
  });
  const auto steps = static_cast<std::int64_t>(inputs.size() / 2);
  return support::widen(session.run({{"x", HostTensor::of({steps, 1, 2}, inputs)}}).at("y"));
}

TEST(LectureExamples, LinearElmanOfOnes) {
  EXPECT_EQ(elman_of_ones({1, 1, 1, 1, 2, 2}), (Vector{4, 4, 12, 12, 32, 32}));
  EXPECT_EQ(elman_of_ones({2, 2, 1, 1, 1, 1}), (Vector{8, 8, 20, 20, 44, 44}));  // order matters
}

// Memory is written when x2 = 1, cleared when x2 = -1, read when x3 = 1.
TEST(LectureExamples, OneCellLstm) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("w_ih", {4, 3}, {});
  parameters.add("w_hh", {4, 1}, {});
  parameters.add("bias", {4}, {});
  // Rows i f g o.
  parameters.set("w_ih", HostTensor::of({4, 3}, std::vector<float>{0, 100, 0, 0, 100, 0, 1, 0, 0, 0, 0, 100}));
  parameters.set("bias", HostTensor::of({4}, std::vector<float>{-10, 10, 0, -10}));
  Session session(device, parameters, [&](Graph& g) {
    RecurrentOptions o{.cell = CellKind::lstm, .activation = Activation::linear};
    o.output_activation = Activation::linear;
    o.all_states = true;
    const RecurrentResult r =
        recurrent(g.input("x", DType::f32, {"T", "N", "3"}), o,
                  {parameters.use(g, "w_ih"), parameters.use(g, "w_hh"), parameters.use(g, "bias"), {}, {}, {}, {}});
    g.output("y", r.output), g.output("memory", r.states[0]);
  });
  const std::vector<float> x{3, 1, 0, 4, 1, 0, 2, 0, 0, 1, 0, 1, 3, -1, 0};
  const TensorMap out = session.run({{"x", HostTensor::of({5, 1, 3}, x)}});
  const Vector memory{3, 7, 7, 7, 0}, y{0, 0, 0, 7, 0};
  for (std::size_t t = 0; t < 5; ++t) {
    EXPECT_NEAR(support::widen(out.at("memory"))[t], memory[t], 1e-3) << t;  // gates are sigmoid(+-10), 5e-5 off
    EXPECT_NEAR(support::widen(out.at("y"))[t], y[t], 1e-3) << t;
  }
}

/// y[T-1] = w^(T-1) x[0] of one linear unit, its gradient by w, and the report of a step with `clip`.
struct LongRun {
  double y, gradient, moved;
  StepReport report;
};
LongRun run_thousand(double w, float clip_value, float clip_norm) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1, DType::f64);
  parameters.add("w_ih", {1, 1}, {Initializer::Kind::constant, 1.f});
  parameters.add("w_hh", {1, 1}, {});
  parameters.set("w_hh", HostTensor::of({1, 1}, Vector{w}));
  Trainer trainer(
      device, parameters, Sgd{.rate = 1.f, .clip_norm = clip_norm, .clip_value = clip_value}, [&](Graph& g) {
        RecurrentOptions o{.cell = CellKind::elman, .activation = Activation::linear};
        const Value y = recurrent(g.input("x", DType::f64, {"T", "N", "1"}), o,
                                  {parameters.use(g, "w_ih"), parameters.use(g, "w_hh"), {}, {}, {}, {}, {}})
                            .output;
        return reduce_all(slice(y, 0, 999, 1000), Reduction::sum);
      });
  Vector x(1000, 0);
  x[0] = 1;
  trainer.step({{"x", HostTensor::of({1000, 1, 1}, x)}});
  return {support::widen(trainer.output("loss"))[0], support::widen(trainer.gradient("w_hh"))[0],
          w - support::widen(parameters.get("w_hh"))[0], trainer.report()};
}

TEST(LectureExamples, ThousandSteps) {
  const LongRun up = run_thousand(1.01, 0, 0), down = run_thousand(0.99, 0, 0);
  EXPECT_NEAR(up.y, 20751, 1);
  EXPECT_NEAR(down.y, 4.4e-5, 0.1e-5);
  EXPECT_NEAR(up.y / std::pow(1.01, 999), 1, 1e-12);  // 999 roundings of 1e-16
  EXPECT_NEAR(up.gradient / (999 * std::pow(1.01, 998)), 1, 1e-12);
  EXPECT_NEAR(down.gradient / (999 * std::pow(0.99, 998)), 1, 1e-12);
  EXPECT_NEAR(up.moved / up.gradient, 1, 1e-9);
  const LongRun value = run_thousand(1.01, 15, 0), norm = run_thousand(1.01, 0, 15);
  EXPECT_NEAR(value.gradient, up.gradient, 1e-6);  // gradient() is from before clipping
  EXPECT_NEAR(value.moved, 15, 1e-12);
  // d loss / d w_ih = y beside d loss / d w_hh; together of length 15.
  const double length = std::hypot(up.gradient, up.y);
  EXPECT_NEAR(norm.moved, 15 * up.gradient / length, 1e-9);
  EXPECT_NEAR(norm.report.gradient_norm / length, 1, 1e-6);
}

TEST(LectureExamples, ParameterCounts) {
  const auto count = [](CellKind cell) {
    Parameters parameters(cpu_device(1), 1);
    nn::Recurrent(parameters, "rnn", {.cell = cell, .input = 7, .hidden = 11});
    return parameters.elements();
  };
  EXPECT_EQ(count(CellKind::elman), 11 * (7 + 11 + 2));
  EXPECT_EQ(count(CellKind::lstm), 4 * count(CellKind::elman));
  EXPECT_EQ(count(CellKind::gru), 3 * count(CellKind::elman));
}

}  // namespace
}  // namespace seqgpu
