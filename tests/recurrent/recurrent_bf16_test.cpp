#include <gtest/gtest.h>

#include "device/cpu/table.hpp"
#include "tests/device/recurrent_cases.hpp"
#include "tests/recurrent/cpu_layers.hpp"
#include "tests/support/bf16.hpp"

// Recurrent layers with products in bf16 on the CPU.
namespace seqgpu {
namespace {

using namespace test;
using recurrent_cases::distance;
using recurrent_cases::tolerance;
using support::to_bf16;

class RecurrentBf16 : public testing::Test {
 protected:
  void SetUp() override {
    if (!device::cpu::set_simd_limit("avx512bf16")) GTEST_SKIP() << "this processor or build lacks AVX-512 BF16";
  }
  void TearDown() override { device::cpu::set_simd_limit(""); }
};

Layer in_bf16(Layer l) {
  l.desc.precision = Precision::bf16;
  return l;
}

template <class T>
Result both_passes(const Layer& l, device::Parallel& parallel) {
  Session<T> session(l, true);
  Result r = session.forward(parallel);
  session.backward(parallel, r);
  return r;
}

void expect_same(const Result& got, const Result& want) {
  EXPECT_EQ(got.y, want.y);
  EXPECT_EQ(got.states, want.states);
  for (int s = 0; s < 2; ++s) EXPECT_EQ(got.final[s], want.final[s]) << s;
  for (int g = 0; g < op::kBackwardOutputs; ++g) EXPECT_EQ(got.gradient[g], want.gradient[g]) << g;
}

TEST_F(RecurrentBf16, StaysNearDouble) {
  support::SerialParallel serial;
  for (const int H : {1, 15, 16, 17, 33})
    for (const int I : {1, 3})
      for_each_layer(5, 7, I, H, [&](const Variant& v, const Layer& l) {
        const Layer rounded = in_bf16(l);
        const std::string what = name_of(v, l) + " I" + std::to_string(I);
        const Result want = both_passes<double>(l, serial), got = both_passes<float>(rounded, serial);
        EXPECT_LE(distance(got.y, want.y), tolerance(rounded.desc, false)) << what;
        EXPECT_LE(distance(got.states, want.states), tolerance(rounded.desc, false)) << what;
        // A gradient jumps where rounding moves a unit over a kink.
        const bool smooth = v.name != std::string("relu") && v.name != std::string("clip");
        for (int g = 0; smooth && g < op::kBackwardOutputs; ++g)
          EXPECT_LE(distance(got.gradient[g], want.gradient[g]), tolerance(rounded.desc, true)) << what << " " << g;
      });
}

/// One step whose products have the layer's tensors as operands, and those rounded.
/// @param cell  not the one that multiplies r*h, which is rounded on the way
void expect_rounds_operands_alone(CellKind cell, const Variant& variant, int N, int I, int H) {
  Layer l = make_layer(cell, Direction::forward, variant, 1, N, I, H);
  for (double& h : l.in[op::kInState0]) h = to_bf16(h);  // a GRU hands it on, and not rounded
  Layer rounded = l;
  for (const int slot : {+op::kInX, +op::kInWih, +op::kInWhh})
    for (double& v : rounded.in[slot]) v = to_bf16(v);
  const Result got = forward_only<float>(in_bf16(l), false);
  // Rounding of sums in f32, one way at worst.
  const double few = 1.2e-7 * (16 + I + H);
  expect_matches(got, expected(rounded, false), few, name_of(variant, l));
  EXPECT_GT(distance(got.y, forward_only<float>(l, false).y), 10 * few) << "not in bf16";
}

TEST_F(RecurrentBf16, RoundsTheOperandsOfProductsAlone) {
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru})
    for (const char* name : {"plain", "initial", "resets"})
      for (const Variant& v : variants()) {
        if (v.name != std::string(name)) continue;
        for (const int H : {15, 16, 17, 33})
          for (const int I : {1, 3, 32, 65}) expect_rounds_operands_alone(cell, v, 7, I, H);
        expect_rounds_operands_alone(cell, v, 13, 530, 530);  // sums in several parts
      }
}

// Large enough that the units are shared out to all three threads.
TEST_F(RecurrentBf16, ThreadsDoNotChangeBits) {
  support::SerialParallel serial;
  support::ThreadedParallel threaded(3);
  for (const CellKind cell : kCells)
    for (const Variant& v : variants()) {
      if (!fits(v, cell)) continue;
      SCOPED_TRACE(std::string(to_string(cell)) + " " + v.name);
      const Layer l = in_bf16(make_layer(cell, Direction::reverse, v, 5, 9, 11, 190));
      expect_same(both_passes<float>(l, threaded), both_passes<float>(l, serial));
    }
}

/// Sequence n of a layer alone, without its padding.
Layer only(const Layer& all, std::size_t n) {
  Layer one = all;
  const auto N = static_cast<std::size_t>(all.desc.N), I = static_cast<std::size_t>(all.desc.I);
  one.desc.N = 1;
  one.desc.T = all.lengths[n];
  one.lengths.clear();
  one.in[op::kInX].clear();
  for (std::size_t t = 0; t < static_cast<std::size_t>(one.desc.T); ++t)
    for (std::size_t i = 0; i < I; ++i) one.in[op::kInX].push_back(all.in[op::kInX][(t * N + n) * I + i]);
  return one;
}

TEST_F(RecurrentBf16, BatchMatesAndPaddingDoNotChangeBits) {
  support::SerialParallel serial;
  constexpr std::size_t N = 14, I = 3, H = 33;
  for (const CellKind cell : kCells) {
    Layer all = in_bf16(make_layer(cell, Direction::forward, variants()[1], 6, N, I, H));
    for (std::size_t n = 0; n < N; ++n) {
      if (all.lengths[n] == 0) continue;
      const Layer one = only(all, n);
      const Result together = forward_only<float>(all, true), alone = forward_only<float>(one, true);
      for (std::size_t t = 0; t < static_cast<std::size_t>(one.desc.T); ++t)
        for (std::size_t u = 0; u < H; ++u) ASSERT_EQ(together.y[(t * N + n) * H + u], alone.y[t * H + u]) << n;
    }
  }
}

// One step, so that the test's outer gradients of the first sequences of [T, N, H] are the same for both.
TEST_F(RecurrentBf16, BatchMatesDoNotChangeGradients) {
  support::SerialParallel serial;
  for (const CellKind cell : kCells) {
    const Layer all = in_bf16(make_layer(cell, Direction::forward, variants()[2], 1, 14, 3, 33));
    Layer few = all;
    few.desc.N = 5;
    few.in[op::kInX].resize(5 * 3);
    for (const int slot : {+op::kInState0, +op::kInState0 + 1})
      if (!few.in[slot].empty()) few.in[slot].resize(5 * 33);
    const Result many = both_passes<float>(all, serial), alone = both_passes<float>(few, serial);
    for (const int g : {+op::kGradX, +op::kGradState0, +op::kGradState0 + 1})
      for (std::size_t i = 0; i < alone.gradient[g].size(); ++i)
        ASSERT_EQ(alone.gradient[g][i], many.gradient[g][i]) << to_string(cell) << " " << g << " " << i;
  }
}

// Several blocks of steps; backward runs forward again.
TEST_F(RecurrentBf16, SegmentsDoNotChangeBits) {
  support::SerialParallel serial;
  support::ThreadedParallel threaded(2);
  for_each_layer(41, 29, 3, 17, [&](const Variant& v, const Layer& l) {
    if (l.desc.direction == Direction::reverse) return;
    Layer cut = in_bf16(l);
    const Result plain = both_passes<float>(cut, serial);
    for (const int segment : {1, 20}) {
      SCOPED_TRACE(name_of(v, l) + " segment " + std::to_string(segment));
      cut.desc.segment = segment;
      expect_same(both_passes<float>(cut, threaded), plain);
    }
  });
}

TEST_F(RecurrentBf16, NanAndInfinityPass) {
  Layer l = in_bf16(make_layer(CellKind::elman, Direction::forward, variants()[0], 1, 3, 2, 5));
  l.desc.activation = Activation::linear;
  l.in[op::kInX] = {std::nan(""), 1, std::numeric_limits<double>::infinity(), 1, 1, 1};
  const Result r = forward_only<float>(l, false);
  for (std::size_t u = 0; u < 5; ++u) {
    EXPECT_TRUE(std::isnan(r.y[u]));
    EXPECT_TRUE(std::isinf(r.y[5 + u]));
    EXPECT_TRUE(std::isfinite(r.y[10 + u]));
  }
}

TEST_F(RecurrentBf16, IsARowOfItsOwn) {
  op::RecurrentForwardDesc desc;
  EXPECT_EQ(choose(device::cpu::table(), desc).implementation->name, std::string("packed scan"));
  desc.precision = Precision::bf16;
  EXPECT_EQ(choose(device::cpu::table(), desc).implementation->name, std::string("packed scan in bf16"));
  desc.dtype = DType::f64;
  EXPECT_EQ(choose(device::cpu::table(), desc).implementation->name, std::string("packed scan"));
}

TEST(RecurrentWithoutBf16, IsF32AndSaysSo) {
  ASSERT_TRUE(device::cpu::set_simd_limit("baseline"));
  op::RecurrentBackwardDesc desc;
  desc.precision = Precision::bf16;
  const device::Choice choice = choose(device::cpu::table(), desc);
  EXPECT_EQ(choice.implementation->name, std::string("packed scan"));
  EXPECT_EQ(choice.rejected, "packed scan in bf16: this processor has no AVX-512 BF16, products are f32");
  support::SerialParallel serial;
  const Layer l = make_layer(CellKind::lstm, Direction::forward, variants()[1], 5, 7, 3, 33);
  expect_same(both_passes<float>(in_bf16(l), serial), both_passes<float>(l, serial));
  device::cpu::set_simd_limit("");
}

}  // namespace
}  // namespace seqgpu
