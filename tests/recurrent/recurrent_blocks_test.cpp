#include <gtest/gtest.h>

#include "device/cpu/recurrent_plan.hpp"
#include "tests/recurrent/cpu_layers.hpp"

// Layers longer than one block of steps: their sums are made block by block, and backward may run forward again.
namespace seqgpu {
namespace {

using namespace test;

constexpr int kT = 41, kN = 37;  // two parts, of 19 and 18 sequences; of the first, blocks of 14 steps, the last of 13

void run(Session<double>& session, Result& result) {
  support::SerialParallel serial;
  result = session.forward(serial);
  session.backward(serial, result);
}

TEST(RecurrentBlocks, AreSeveral) {
  op::RecurrentDesc desc;
  desc.T = kT, desc.N = kN;
  ASSERT_EQ(device::cpu::parts_of(desc), 2);
  for (const std::int64_t N : {15, 16, 31, 32}) {
    desc.N = N;
    desc.paired = false;
    EXPECT_EQ(device::cpu::parts_of(desc), N < 16 ? 1 : 2) << N;
    desc.paired = true;
    EXPECT_EQ(device::cpu::parts_of(desc), N < 32 ? 1 : 2) << N;
  }
  desc.N = kN, desc.paired = false;
  op::RecurrentDesc part = device::cpu::part_of(desc, 0, 2);
  ASSERT_EQ(device::cpu::block_steps(part), 14);
  part.segment = 20;
  EXPECT_EQ(device::cpu::segment_steps(part), 28);
  part.segment = kT;
  EXPECT_EQ(device::cpu::segment_steps(part), kT);
}

TEST(RecurrentBlocks, MatchReference) {
  for (const int N : {kN, 16, 31})
    for_each_layer(kT, N, 3, 5, [&](const Variant& v, const Layer& l) {
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

/// Outputs, final states and gradients on several threads are those on one, in training and, outputs alone, in
/// inference, where one thread takes all of the batch at once.
void expect_same_bits(const Layer& l, std::initializer_list<int> thread_counts, const std::string& name) {
  support::SerialParallel serial;
  Session<float> alone(l, true);
  Result want = alone.forward(serial);
  alone.backward(serial, want);
  const auto inferred = Session<float>(l, false).forward(serial).y;
  for (const int threads : thread_counts) {
    SCOPED_TRACE(name + " threads " + std::to_string(threads));
    support::ThreadedParallel threaded(threads);
    Session<float> session(l, true);
    Result got = session.forward(threaded);
    session.backward(threaded, got);
    EXPECT_EQ(got.y, want.y);
    EXPECT_EQ(got.states, want.states);
    for (int s = 0; s < 2; ++s) EXPECT_EQ(got.final[s], want.final[s]) << s;
    for (int g = 0; g < op::kBackwardOutputs; ++g) EXPECT_EQ(got.gradient[g], want.gradient[g]) << g;
    EXPECT_EQ(Session<float>(l, false).forward(threaded).y, inferred);
  }
}

TEST(RecurrentBlocks, AreTheSameBitsOnAnyThreads) {
  for_each_layer(kT, kN, 3, 70, [](const Variant& v, const Layer& l) {
    expect_same_bits(l, {2, 5}, name_of(v, l));  // a thread for each part; two for one of them and more
  });
}

// Beside the other direction a layer leaves threads to it.
TEST(RecurrentBlocks, OfAPairAreTheSameBitsOnAnyThreads) {
  for (const int N : {20, kN})
    for_each_layer(11, N, 3, 70, [](const Variant& v, Layer l) {
      l.desc.paired = true;
      expect_same_bits(l, {2, 5}, name_of(v, l));  // half of them: 1 and 2
    });
}

// Of a batch of several lengths each part gets long ones and short ones.
TEST(RecurrentBlocks, PartsOfARaggedBatchAreAlike) {
  constexpr std::int64_t N = 37, T = 50;
  op::RecurrentDesc desc;
  desc.T = T, desc.N = N;
  std::vector<std::int32_t> lengths;
  for (std::int64_t n = 0; n < N; ++n) lengths.push_back(static_cast<std::int32_t>(n * 17 % (T + 1)));
  std::vector<std::byte> memory(1 << 14);
  const auto aligned = (reinterpret_cast<std::uintptr_t>(memory.data()) + 63) / 64 * 64;
  device::cpu::Carver carver{reinterpret_cast<std::byte*>(aligned)};
  device::cpu::Order batch = device::cpu::Order::take(carver, desc);
  batch.build(lengths.data());
  std::vector<int> seen(N);
  std::int64_t rows = 0;
  for (int part = 0; part < 2; ++part) {
    device::cpu::Order order = device::cpu::Order::take(carver, device::cpu::part_of(desc, part, 2));
    order.deal(batch, part, 2);
    EXPECT_NEAR(static_cast<double>(order.rows), static_cast<double>(batch.rows) / 2, T) << part;
    rows += order.rows;
    for (std::int64_t j = 0; j < order.N; ++j) {
      ++seen[static_cast<std::size_t>(order.sequence[j])];
      EXPECT_EQ(order.length[j], lengths[static_cast<std::size_t>(order.sequence[j])]);
      EXPECT_LE(order.length[j], order.length[j > 0 ? j - 1 : 0]);
    }
  }
  ASSERT_LE(carver.used + 64, memory.size());
  EXPECT_EQ(rows, batch.rows);
  EXPECT_EQ(seen, std::vector<int>(N, 1));
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
