#include <gtest/gtest.h>

#include "tests/recurrent/cpu_layers.hpp"

// The CPU recurrent layer against reference/ (values) and against central differences of itself (gradients).
namespace seqgpu {
namespace {

using namespace test;

class RecurrentCpu : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!device::cpu::set_simd_limit(GetParam())) GTEST_SKIP() << "this processor or build lacks " << GetParam();
  }
  void TearDown() override { device::cpu::set_simd_limit(""); }
};

TEST_P(RecurrentCpu, ForwardMatchesReference) {
  for (const int H : {1, 15, 16, 17, 31, 33})
    for (const int N : {0, 1, 3, 7})
      for (const int T : {0, 1, 2, 5})
        for_each_layer(T, N, 3, H, [&](const Variant& v, const Layer& l) {
          for (const bool training : {false, true}) {
            const auto want = expected(l, training);
            // f64: rounding of sums of about 100 terms. f32: the same at 6e-8 per term, over 5 steps; linear and relu
            // cells amplify.
            expect_matches(forward_only<double>(l, training), want, 1e-12, name_of(v, l) + " f64");
            expect_matches(forward_only<float>(l, training), want, 2e-5, name_of(v, l) + " f32");
          }
        });
}

TEST_P(RecurrentCpu, BackwardMatchesCentralDifferences) {
  support::SerialParallel serial;
  for_each_layer(4, 3, 2, 3, [&](const Variant& v, const Layer& l) {
    Session<double> run(l, true);
    Result r = run.forward(serial);
    run.backward(serial, r);
    for (int g = 0; g < op::kBackwardOutputs; ++g) {
      const Vector& analytic = r.gradient[g];
      Layer moved = l;
      Vector& values = moved.in[kGradientOf[g]];
      if (values.empty()) continue;  // an absent tensor has nothing to move
      ASSERT_EQ(analytic.size(), values.size());
      for (std::size_t i = 0; i < values.size(); ++i) {
        const double h = 1e-5, at = values[i];
        values[i] = at + h;
        const double up = loss(forward_only<double>(moved, true));
        values[i] = at - h;
        const double down = loss(forward_only<double>(moved, true));
        values[i] = at;
        const double numeric = (up - down) / (2 * h);
        // Truncation h^2, rounding 1e-16 / h: about 1e-10 each.
        EXPECT_NEAR(analytic[i], numeric, 1e-6 * std::max(1.0, std::abs(numeric)))
            << name_of(v, l) << " gradient " << g << " [" << i << "]";
      }
    }
  });
}

TEST_P(RecurrentCpu, FloatGradientsMatchDouble) {
  support::SerialParallel serial;
  for (const int H : {1, 17, 33})
    for_each_layer(5, 7, 5, H, [&](const Variant& v, const Layer& l) {
      Session<double> wide(l, true);
      Session<float> narrow(l, true);
      Result want = wide.forward(serial), got = narrow.forward(serial);
      wide.backward(serial, want);
      narrow.backward(serial, got);
      for (int g = 0; g < op::kBackwardOutputs; ++g)
        expect_near(got.gradient[g], want.gradient[g], 2e-4, name_of(v, l) + " gradient " + std::to_string(g));
    });
}

// Large enough that the units are shared out to all three threads.
TEST_P(RecurrentCpu, ThreadsDoNotChangeBits) {
  support::SerialParallel serial;
  support::ThreadedParallel threaded(3);
  for (const CellKind cell : kCells)
    for (const Variant& variant : variants()) {
      if (!fits(variant, cell)) continue;
      SCOPED_TRACE(std::string(to_string(cell)) + " " + variant.name);
      const Layer l = make_layer(cell, Direction::reverse, variant, 5, 9, 10, 190);
      Session<float> a(l, true), b(l, true);
      Result one = a.forward(serial), several = b.forward(threaded);
      a.backward(serial, one);
      b.backward(threaded, several);
      EXPECT_EQ(one.y, several.y);
      EXPECT_EQ(one.states, several.states);
      for (int s = 0; s < 2; ++s) EXPECT_EQ(one.final[s], several.final[s]) << s;
      for (int g = 0; g < op::kBackwardOutputs; ++g) EXPECT_EQ(one.gradient[g], several.gradient[g]) << g;
      EXPECT_EQ(forward_only<float>(l, false).y, Session<float>(l, false).forward(threaded).y);
    }
}

TEST_P(RecurrentCpu, BatchMatesDoNotChangeBits) {
  for (const CellKind cell : kCells) {
    const Layer all = make_layer(cell, Direction::forward, variants()[1], 5, 7, 3, 33);
    Layer one = all;
    const std::size_t n = 2;
    one.desc.N = 1;
    one.lengths = {all.lengths[n]};
    one.in[op::kInX].clear();
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t i = 0; i < 3; ++i) one.in[op::kInX].push_back(all.in[op::kInX][(t * 7 + n) * 3 + i]);
    const Result many = forward_only<float>(all, false), alone = forward_only<float>(one, false);
    for (std::size_t t = 0; t < 5; ++t)
      for (std::size_t u = 0; u < 33; ++u) EXPECT_EQ(many.y[(t * 7 + n) * 33 + u], alone.y[t * 33 + u]);
  }
}

/// An Elman layer of one step whose pre-activation is its bias: the f32 activation of each bias.
Vector activations(Activation activation, const Vector& at) {
  Layer l;
  l.desc.cell = CellKind::elman;
  l.desc.activation = activation;
  l.desc.T = l.desc.N = l.desc.I = 1;
  l.desc.H = l.desc.R = static_cast<std::int64_t>(at.size());
  l.in[op::kInX] = {0};
  l.in[op::kInWih] = Vector(at.size(), 0);
  l.in[op::kInWhh] = Vector(at.size() * at.size(), 0);
  l.in[op::kInBih] = at;
  return forward_only<float>(l, false).y;
}

TEST_P(RecurrentCpu, FloatActivationsAreAccurate) {
  Vector at;
  for (double x = 1e-8; x < 100; x *= 1.04)
    for (const double sign : {-1., 1.}) at.push_back(static_cast<float>(sign * x));
  for (const Activation a : {Activation::tanh, Activation::sigmoid}) {
    const Vector got = activations(a, at);
    for (std::size_t i = 0; i < at.size(); ++i) {
      const double want = reference::act(a, at[i]);
      // 4 ulp: exp, sum, quotient. Below e^-87 sigmoid underflows.
      EXPECT_NEAR(got[i], want, 4 * 1.2e-7 * std::abs(want) + 1e-37) << to_string(a) << " of " << at[i];
    }
  }
}

TEST_P(RecurrentCpu, NanStaysNan) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const Activation a : {Activation::linear, Activation::tanh, Activation::relu, Activation::sigmoid}) {
    const Vector got = activations(a, {0.5, nan, -0.5});
    EXPECT_TRUE(std::isnan(got[1])) << to_string(a);
  }
}

INSTANTIATE_TEST_SUITE_P(Simd, RecurrentCpu, testing::Values("baseline", "avx2", "avx512"),
                         [](const auto& info) { return std::string(info.param); });

TEST(RecurrentCpuErrors, BadLengthNamesSequence) {
  Layer l = make_layer(CellKind::lstm, Direction::forward, variants()[1], 5, 3, 2, 3);
  l.lengths[1] = 6;
  try {
    forward_only<float>(l, false);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_STREQ(e.what(), "recurrent: lengths[1] must be in [0, T], got 6 with T=5");
  }
}

TEST(CellTraits, MatchNotation) {
  EXPECT_STREQ(to_string(CellKind::gru_reset_before), "gru_reset_before");
  EXPECT_EQ(gate_count(CellKind::lstm), 4);
  EXPECT_EQ(state_count(CellKind::lstm), 2);
  EXPECT_EQ(unit_parameter_count(CellKind::lstm), 3);
  EXPECT_EQ(gate_count(CellKind::gru), 3);
  EXPECT_EQ(state_count(CellKind::elman), 1);
}

}  // namespace
}  // namespace seqgpu
