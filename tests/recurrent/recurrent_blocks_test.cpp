#include <gtest/gtest.h>

#include "device/cpu/recurrent_plan.hpp"
#include "tests/recurrent/cpu_layers.hpp"

// Layers longer than one block of steps: their sums are made block by block, and backward may run forward again.
namespace seqgpu {
namespace {

using namespace test;

constexpr int kT = 41, kN = 29;  // blocks of 9 steps, the last of 5

void run(Session<double>& session, Result& result) {
  support::SerialParallel serial;
  result = session.forward(serial);
  session.backward(serial, result);
}

TEST(RecurrentBlocks, AreSeveral) {
  op::RecurrentDesc desc;
  desc.T = kT, desc.N = kN;
  ASSERT_EQ(device::cpu::block_steps(desc), 9);
  desc.segment = 20;
  EXPECT_EQ(device::cpu::segment_steps(desc), 27);
  desc.segment = kT;
  EXPECT_EQ(device::cpu::segment_steps(desc), kT);
}

TEST(RecurrentBlocks, MatchReference) {
  for_each_layer(kT, kN, 3, 5, [&](const Variant& v, const Layer& l) {
    for (const bool training : {false, true})
      expect_matches(forward_only<double>(l, training), expected(l, training), 1e-12, name_of(v, l));
  });
}

// Along one random direction for each tensor.
TEST(RecurrentBlocks, GradientsMatchCentralDifferences) {
  for_each_layer(kT, kN, 2, 3, [&](const Variant& v, const Layer& l) {
    Session<double> session(l, true);
    Result r;
    run(session, r);
    std::mt19937 random(5);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int g = 0; g < op::kBackwardOutputs; ++g) {
      Layer up = l, down = l;
      double analytic = 0;
      for (std::size_t i = 0; i < l.in[kGradientOf[g]].size(); ++i) {
        const double step = 1e-6 * uniform(random);
        up.in[kGradientOf[g]][i] += step;
        down.in[kGradientOf[g]][i] -= step;
        analytic += r.gradient[g][i] * step;
      }
      const double numeric = (loss(forward_only<double>(up, true)) - loss(forward_only<double>(down, true))) / 2;
      // Rounding: the loss is a sum of some thousands, 1e-12 in all, beside a step of 1e-6.
      EXPECT_NEAR(analytic * 1e6, numeric * 1e6, 2e-5 * std::max(1.0, std::abs(numeric) * 1e6))
          << name_of(v, l) << " gradient " << g;
    }
  });
}

TEST(RecurrentBlocks, RunAgainAreTheSameBits) {
  support::SerialParallel serial;
  support::ThreadedParallel threaded(2);
  for_each_layer(kT, kN, 3, 17, [&](const Variant& v, const Layer& l) {
    Session<float> plain(l, true);
    Result kept = plain.forward(serial);
    plain.backward(serial, kept);
    for (const int segment : {1, 20, 41, 1000}) {
      SCOPED_TRACE(name_of(v, l) + " segment " + std::to_string(segment));
      Layer cut = l;
      cut.desc.segment = segment;
      Session<float> session(cut, true);
      Result again = session.forward(threaded);
      session.backward(threaded, again);
      EXPECT_EQ(again.y, kept.y);
      EXPECT_EQ(again.states, kept.states);
      for (int s = 0; s < 2; ++s) EXPECT_EQ(again.final[s], kept.final[s]) << s;
      for (int g = 0; g < op::kBackwardOutputs; ++g) EXPECT_EQ(again.gradient[g], kept.gradient[g]) << g;
    }
  });
}

TEST(RecurrentBlocks, RunAgainNeedLittleMemory) {
  op::RecurrentForwardDesc desc;
  desc.T = 10000, desc.N = 8, desc.I = 16, desc.H = desc.R = 64;
  desc.training = true;
  const auto bytes = [&](std::int64_t segment) {
    desc.segment = segment;
    return device::cpu::recurrent_reserve_bytes(desc) + device::cpu::recurrent_backward_workspace(desc);
  };
  EXPECT_LT(bytes(640) * 10, bytes(0));
}

}  // namespace
}  // namespace seqgpu
