#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <tuple>

#include "seqgpu/error.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/device/recurrent_cases.hpp"
#include "tests/train/tagger.hpp"

// Every strategy of the device under test: values against tests/reference in double, gradients against the CPU in f64,
// which central differences hold.
namespace seqgpu {
namespace {

using namespace recurrent_cases;

/// Rows of the table; "" is what the device chooses for each pass.
constexpr const char* kStrategies[] = {"", "cluster-persistent", "grid-persistent", "stepwise"};
#if defined(SEQGPU_TEST_EMULATED)
constexpr bool kCuda = true;
#else
const bool kCuda = std::getenv("SEQGPU_DEVICE") && std::string(std::getenv("SEQGPU_DEVICE")).rfind("cuda", 0) == 0;
#endif

std::shared_ptr<device::Backend> backend() { return device_under_test().share(); }
std::shared_ptr<device::Backend> cpu() {
  static const Device device = cpu_device(1);
  return device.share();
}

void expect_near(const Vector& got, const Vector& want, double tolerance, const std::string& what) {
  EXPECT_LE(distance(got, want), tolerance) << what;
}

using Parameters = std::tuple<const char*, CellKind, Direction>;

class RecurrentStrategy : public testing::TestWithParam<Parameters> {
 protected:
  void SetUp() override {
    const Layer any = make_layer(CellKind::lstm, Direction::forward, variants()[0], sizes()[0]);
    const std::string why = LayerRun<float>(backend(), strategy(), any, true).refusal();
    const bool missing = why.find("has no row") != std::string::npos;
    if (on_emulated_gpu()) {
      ASSERT_FALSE(missing) << why;
    }
    if (missing) GTEST_SKIP() << why;
  }
  std::string strategy() const { return std::get<0>(GetParam()); }

  /// Visits the layers of the table that the strategy takes. The one that takes all must not refuse any.
  void for_each_layer(bool training, const std::function<void(const Layer&)>& visit) const {
    int taken = 0;
    for (const Layer& layer : layers_of(std::get<1>(GetParam()), std::get<2>(GetParam()))) {
      const std::string why = LayerRun<float>(backend(), strategy(), layer, training).refusal();
      EXPECT_TRUE(why.empty() || (strategy() != "" && strategy() != "stepwise")) << layer.name << ": " << why;
      if (!why.empty()) continue;
      ++taken;
      visit(layer);
    }
    RecordProperty("layers", taken);
    if (on_emulated_gpu()) {
      ASSERT_GT(taken, 0) << strategy() << " refuses every layer";
    }
    if (taken == 0) GTEST_SKIP() << strategy() << " takes none of these layers";
  }
};

TEST_P(RecurrentStrategy, ValuesMatchReference) {
  for (const bool training : {false, true})
    for_each_layer(training, [&](const Layer& l) {
      const Result got = LayerRun<float>(backend(), strategy(), l, training).forward();
      const auto want = expected(l, training);
      const std::string name = l.name + (training ? " training" : "");
      const double bound = tolerance(l.desc, false);
      expect_near(got.y, want.y, bound, name + " y");
      expect_near(got.final[0], want.final[0], bound, name + " final h");
      if (state_count(l.desc.cell) == 1) return;
      expect_near(got.final[1], want.final[1], bound, name + " final c");
      expect_near(got.states[1], want.states, bound, name + " states");
    });
}

TEST_P(RecurrentStrategy, GradientsMatchDouble) {
  for_each_layer(true, [&](const Layer& l) {
    LayerRun<double> exact(cpu(), "packed scan", l, true);
    LayerRun<float> run(backend(), strategy(), l, true);
    Result want = exact.forward(), got = run.forward();
    exact.backward(want);
    run.backward(got);
    for (int g = 0; g < op::kBackwardOutputs; ++g)
      expect_near(got.gradient[g], want.gradient[g], tolerance(l.desc, true),
                  l.name + " gradient " + std::to_string(g));
  });
}

// A program seen the second time may be captured, the third replayed.
TEST_P(RecurrentStrategy, RepeatsItsBits) {
  for_each_layer(true, [&](const Layer& l) {
    if (l.desc.H > 33 || l.desc.T * l.desc.N > 200) return;
    LayerRun<float> first(backend(), strategy(), l, true), second(backend(), strategy(), l, true);
    Result a = first.forward(), b = second.forward(3);
    first.backward(a);
    second.backward(b, 3);
    EXPECT_EQ(a.y, b.y) << l.name;
    for (int g = 0; g < op::kBackwardOutputs; ++g) EXPECT_EQ(a.gradient[g], b.gradient[g]) << l.name << " " << g;
  });
}

TEST_P(RecurrentStrategy, ComputesOnlyWhatIsWanted) {
  for_each_layer(true, [&](const Layer& l) {
    if (l.desc.H > 33 || l.desc.T * l.desc.N > 200) return;
    LayerRun<float> run(backend(), strategy(), l, true);
    Result all = run.forward();
    Result even = all, odd = all;
    run.backward(all);
    run.backward(even, 1, [](int g) { return g % 2 == 0; });
    run.backward(odd, 1, [](int g) { return g % 2 == 1; });
    for (int g = 0; g < op::kBackwardOutputs; ++g) {
      EXPECT_EQ((g % 2 == 0 ? even : odd).gradient[g], all.gradient[g]) << l.name << " " << g;
      EXPECT_TRUE((g % 2 == 0 ? odd : even).gradient[g].empty());
    }
  });
}

TEST_P(RecurrentStrategy, RoundsOnlyProductsInLowerPrecision) {
  for (const Precision precision : {Precision::tf32, Precision::bf16})
    for (const char* variant : {"ragged", "resets", "projection_with_all"})
      for (const Variant& v : variants()) {
        const auto [name, cell, direction] = GetParam();
        if (v.name != std::string(variant) || !fits(v, cell)) continue;
        Layer l = make_layer(cell, direction, v, {9, 9, 5, 33});
        l.desc.precision = precision;
        LayerRun<float> run(backend(), strategy(), l, true);
        if (!run.refusal().empty()) continue;
        LayerRun<double> exact(cpu(), "packed scan", l, true);
        Result want = exact.forward(), got = run.forward();
        exact.backward(want);
        run.backward(got);
        const std::string what = l.name + " " + to_string(precision);
        expect_near(got.y, want.y, tolerance(l.desc, false), what + " y");
        for (int g = 0; g < op::kBackwardOutputs; ++g)
          expect_near(got.gradient[g], want.gradient[g], tolerance(l.desc, true),
                      what + " gradient " + std::to_string(g));
      }
}

std::string name_of(const testing::TestParamInfo<Parameters>& info) {
  const std::string strategy = std::get<0>(info.param);
  std::string name = (strategy.empty() ? "chosen" : strategy) + "_" + to_string(std::get<1>(info.param)) + "_" +
                     to_string(std::get<2>(info.param));
  for (char& c : name)
    if (c == ' ' || c == '-') c = '_';
  return name;
}

std::vector<Parameters> parameters() {
  std::vector<Parameters> all;
  for (const std::string strategy : kStrategies)
    for (const CellKind cell : kCells) {
      const bool takes_all = strategy.empty() || strategy == "stepwise";
      if (!strategy.empty() && !kCuda) continue;                       // a CPU takes bf16 by itself
      if (!takes_all && cell == CellKind::gru_reset_before) continue;  // refused by all persistent strategies
      for (const Direction direction : {Direction::forward, Direction::reverse})
        all.emplace_back(*std::find(std::begin(kStrategies), std::end(kStrategies), strategy), cell, direction);
    }
  return all;
}
INSTANTIATE_TEST_SUITE_P(All, RecurrentStrategy, testing::ValuesIn(parameters()), name_of);

TEST(RecurrentOnDevice, NamesTheSequenceOfABadLength) {
  for (const std::string strategy : kStrategies) {
    for (const int bad : {-1, 3, 1 << 30}) {
      Layer l = make_layer(CellKind::gru, Direction::reverse, variants()[1], {2, 9, 3, 31});
      l.lengths[5] = bad;
      LayerRun<float> run(backend(), strategy, l, true);
      const bool missing = run.refusal().find("has no row") != std::string::npos;
      if (on_emulated_gpu()) {
        ASSERT_FALSE(missing) << run.refusal();
      }
      if (missing) continue;
      try {
        run.forward();
        FAIL() << strategy << " took a length of " << bad;
      } catch (const Error& e) {
        EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
        EXPECT_EQ(std::string(e.what()),
                  "recurrent: lengths[5] must be in [0, T], got " + std::to_string(bad) + " with T=2");
      }
    }
  }
}

/// Both directions of both layers, their weights' gradients too, go wherever the scheduler sends them.
TEST(RecurrentOnDevice, StreamsDoNotChangeBits) {
  for (const CellKind cell : kCells) {
    TensorMap states[2];
    for (const int streams : {1, 4}) {
      std::string why;
      const bool cuda = device_under_test().kind() == DeviceKind::cuda;
      const Device device(cuda ? device::make_cuda_backend({.streams = streams}, why)
                               : device::make_cpu_backend(streams));
      support::TaggerOptions options{.cell = cell, .layers = 2, .recurrent_dropout = 0.2f, .hidden = 33};
      support::Tagger tagger(device, options);
      Trainer trainer(device, tagger.parameters, Sgd{.rate = 0.1f}, [&](Graph& g) { return tagger.loss(g); });
      for (int step = 0; step < 3; ++step) trainer.step(support::tagger_batch(7, 5, 1));
      states[streams == 1 ? 0 : 1] = trainer.state();
    }
    ASSERT_EQ(states[0].size(), states[1].size());
    for (const auto& [name, tensor] : states[0])
      EXPECT_EQ(tensor.bytes, states[1].at(name).bytes) << to_string(cell) << " " << name;
  }
}

TEST(RecurrentOnDevice, LeavesDoubleToTheCpu) {
  if (device_under_test().kind() != DeviceKind::cuda) GTEST_SKIP() << "the CPU computes f64";
  const Layer l = make_layer(CellKind::lstm, Direction::forward, variants()[0], {2, 1, 3, 1});
  EXPECT_EQ(LayerRun<double>(backend(), "stepwise", l, false).refusal(), "f64 runs on the CPU only");
}

}  // namespace
}  // namespace seqgpu
