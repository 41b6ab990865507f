#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <string>

#include "mgu_reference.hpp"
#include "seqgpu/seqgpu.hpp"

// The cell that docs/adding_a_cell.md adds, used as any other: described, planned, trained.
namespace seqgpu {
namespace {

constexpr std::int64_t T = 5, N = 4, I = 3;
const std::vector<std::int32_t> kLengths = {3, 0, 5, 1};

double loss_weight(std::size_t i) { return std::sin(1.3 * static_cast<double>(i) + 1); }

std::vector<double> widen(const HostTensor& t) {
  if (t.dtype == DType::f64) return {t.view<double>().begin(), t.view<double>().end()};
  return {t.view<float>().begin(), t.view<float>().end()};
}

/// A layer with its numbers as parameters, so that a Trainer differentiates by each of them.
struct Layer {
  Layer(Direction d, std::int64_t hidden, DType dtype) : direction(d), H(hidden), parameters(device, 3, dtype) {
    const Initializer start{Initializer::Kind::uniform, 0.8f, 0, 0, 0.f};
    parameters.add("x", {T, N, I}, start);
    parameters.add("w_ih", {2 * H, I}, start);
    parameters.add("w_hh", {2 * H, H}, start);
    parameters.add("b_ih", {2 * H}, start);
    parameters.add("b_hh", {2 * H}, start);
    parameters.add("h0", {N, H}, start);
  }

  RecurrentResult describe(Graph& g) const {
    const auto use = [&](const char* name) { return parameters.use(g, name); };
    RecurrentOptions options;
    options.cell = CellKind::mgu;
    options.direction = direction;
    RecurrentWeights weights;
    weights.w_ih = use("w_ih"), weights.w_hh = use("w_hh"), weights.b_ih = use("b_ih"), weights.b_hh = use("b_hh");
    RecurrentInputs inputs;
    inputs.lengths = g.input("lengths", DType::i32, {"N"});
    inputs.initial = {use("h0")};
    const RecurrentResult result = recurrent(use("x"), options, weights, inputs);
    g.output("y", result.output);
    g.output("final", result.final[0]);
    return result;
  }

  reference::Mgu reference() const {
    const auto take = [&](const char* name) { return widen(parameters.get(name)); };
    return {direction == Direction::reverse,
            T,
            N,
            I,
            static_cast<std::size_t>(H),
            take("x"),
            take("w_ih"),
            take("w_hh"),
            take("b_ih"),
            take("b_hh"),
            take("h0"),
            {kLengths.begin(), kLengths.end()}};
  }

  Direction direction;
  std::int64_t H;
  Device device = cpu_device(2);
  Parameters parameters;
  Batch batch = {{"lengths", HostTensor::of({N}, kLengths)}};
};

double loss(const reference::MguResult& r) {
  double sum = 0;
  for (std::size_t i = 0; i < r.y.size(); ++i) sum += loss_weight(i) * r.y[i];
  for (std::size_t i = 0; i < r.final.size(); ++i) sum += loss_weight(i) * r.final[i];
  return sum;
}

HostTensor weights_of(const Shape& shape) {
  HostTensor t(DType::f64, shape);
  for (std::size_t i = 0; i < t.view<double>().size(); ++i) t.view<double>()[i] = loss_weight(i);
  return t;
}

TEST(ToyCell, HasAName) {
  EXPECT_STREQ(to_string(CellKind::mgu), "mgu");
  EXPECT_EQ(gate_count(CellKind::mgu), 2);
  EXPECT_EQ(state_count(CellKind::mgu), 1);
}

TEST(ToyCell, ForwardMatchesReference) {
  for (const Direction direction : {Direction::forward, Direction::reverse})
    for (const DType dtype : {DType::f64, DType::f32})
      for (const std::int64_t H : {1, 7, 17, 33}) {
        Layer layer(direction, H, dtype);
        Session session(layer.device, layer.parameters, [&](Graph& g) { layer.describe(g); });
        const TensorMap got = session.run(layer.batch);
        const reference::MguResult want = reference::mgu(layer.reference());
        // Rounding of sums of about 40 terms over 5 steps, at 1e-16 or 6e-8 a term.
        const double tolerance = dtype == DType::f64 ? 1e-12 : 2e-5;
        const std::vector<double> y = widen(got.at("y")), last = widen(got.at("final"));
        for (std::size_t i = 0; i < y.size(); ++i) ASSERT_NEAR(y[i], want.y[i], tolerance) << H << " " << i;
        for (std::size_t i = 0; i < last.size(); ++i) ASSERT_NEAR(last[i], want.final[i], tolerance) << H << " " << i;
      }
}

TEST(ToyCell, GradientsMatchCentralDifferencesOfTheReference) {
  for (const Direction direction : {Direction::forward, Direction::reverse}) {
    Layer layer(direction, 3, DType::f64);
    Batch batch = layer.batch;
    batch["weights_y"] = weights_of({T, N, 3});
    batch["weights_final"] = weights_of({N, 3});
    Trainer trainer(layer.device, layer.parameters, Sgd{.rate = 0.f}, [&](Graph& g) {
      const RecurrentResult r = layer.describe(g);
      const Value y = mul(r.output, g.input("weights_y", DType::f64, {"T", "N", "H"}));
      const Value last = mul(r.final[0], g.input("weights_final", DType::f64, {"N", "H"}));
      return add(reduce_all(y, Reduction::sum), reduce_all(last, Reduction::sum));
    });
    trainer.step(batch);
    reference::Mgu p = layer.reference();
    const std::map<std::string, std::vector<double>*> tensors = {
        {"x", &p.x}, {"w_ih", &p.w_ih}, {"w_hh", &p.w_hh}, {"b_ih", &p.b_ih}, {"b_hh", &p.b_hh}, {"h0", &p.h0}};
    for (const auto& [name, values] : tensors) {
      const std::vector<double> gradient = widen(trainer.gradient(name));
      ASSERT_EQ(gradient.size(), values->size()) << name;
      for (std::size_t i = 0; i < values->size(); ++i) {
        const double h = 1e-5, at = (*values)[i];
        (*values)[i] = at + h;
        const double up = loss(reference::mgu(p));
        (*values)[i] = at - h;
        const double down = loss(reference::mgu(p));
        (*values)[i] = at;
        const double numeric = (up - down) / (2 * h);
        // Truncation h^2, rounding 1e-16 / h: about 1e-10 each.
        EXPECT_NEAR(gradient[i], numeric, 1e-6 * std::max(1.0, std::abs(numeric))) << name << " " << i;
      }
    }
  }
}

TEST(ToyCell, TrainsAsAModule) {
  const Device device = cpu_device(2);
  Parameters parameters(device, 1);
  nn::Recurrent mgu(parameters, "mgu",
                    {.cell = CellKind::mgu, .input = I, .hidden = 8, .layers = 2, .bidirectional = true});
  nn::Linear out(parameters, "out", {.input = 16, .output = 1});
  Trainer trainer(device, parameters, Adam{.rate = 0.02f}, [&](Graph& g) {
    const Value x = g.input("x", DType::f32, {"T", "N", "I"}), lengths = g.input("lengths", DType::i32, {"N"});
    return mean_squared_error(out(mgu(x, lengths)), g.input("y", DType::f32, {"T", "N", "1"}), lengths);
  });
  HostTensor x(DType::f32, {T, N, I}), y(DType::f32, {T, N, 1});
  for (std::size_t i = 0; i < x.view<float>().size(); ++i) x.view<float>()[i] = static_cast<float>(std::sin(i));
  for (std::size_t i = 0; i < y.view<float>().size(); ++i) y.view<float>()[i] = static_cast<float>(std::cos(2 * i));
  const Batch batch = {{"x", x}, {"y", y}, {"lengths", HostTensor::of({N}, kLengths)}};
  const float before = trainer.step(batch);
  for (int step = 0; step < 200; ++step) trainer.step(batch);
  EXPECT_LT(trainer.report().loss, 0.1f * before);  // nine numbers to learn by heart
}

}  // namespace
}  // namespace seqgpu
