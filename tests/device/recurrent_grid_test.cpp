#include <gmock/gmock.h>

#include <algorithm>

#include "kernels/recurrent/grid_plan.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/device/recurrent_cases.hpp"

#if defined(SEQGPU_TEST_EMULATED)
#include "emulator/control.hpp"
#endif

// The grid-persistent strategy beside the table that all are held to (recurrent_test.cpp): how it cuts shapes into
// blocks, the sizes where a tile, a warp or a slice is just full, few and many multiprocessors, weights in bf16.
namespace seqgpu {
namespace {

using namespace recurrent_cases;
using kernels::GridDecision;
using kernels::GridLimits;
using kernels::GridPlan;
using kernels::GridShape;

constexpr GridLimits kHopper = {90, 132, 232448}, kAmpere = {80, 108, 166912}, kSmall = {90, 4, 232448};

TEST(GridPlan, HoldsWhatItPromises) {
  for (const GridLimits& limits : {kHopper, kAmpere, kSmall})
    for (const int gates : {1, 3, 4})
      for (const bool backward : {false, true})
        for (const bool bf16 : {false, true})
          for (const std::int64_t N : {1, 7, 8, 9, 33, 300})
            for (std::int64_t H = 1; H < 1500; H += 1 + H / 8) {
              const GridShape shape = {.gates = gates, .states = 2, .N = N, .H = H, .backward = backward, .bf16 = bf16};
              const GridDecision decision = kernels::plan_grid(shape, limits);
              const GridPlan& p = decision.plan;
              if (!decision.reason.empty()) continue;
              SCOPED_TRACE("G" + std::to_string(gates) + " N" + std::to_string(N) + " H" + std::to_string(H));
              EXPECT_GE(p.slices * p.units, H);
              EXPECT_LT((p.slices - 1) * p.units, H);  // no slice is empty
              EXPECT_GE(p.groups, 1);
              EXPECT_LE(p.groups, N);
              EXPECT_LE(p.blocks(), limits.multiprocessors);
              EXPECT_LE(p.shared_bytes, limits.shared_bytes_per_block);
              EXPECT_EQ(p.shared_bytes % 16, 0);
              EXPECT_EQ(p.row % 4, 0);
              EXPECT_EQ(p.bf16, bf16);
              EXPECT_TRUE(p.threads == 64 || p.threads == 128 || p.threads == 256);
              EXPECT_LE(kernels::kGridTile * p.units, p.threads);  // each cell of a tile has a thread
              EXPECT_EQ(kernels::kGridTile % p.split, 0);
              if (backward) {
                EXPECT_LE(p.parts * kernels::kGridTile * p.units, p.threads);
                EXPECT_LE(p.parts, p.slices);
              }
            }
}

TEST(GridPlan, TakesWhatFitsTheChip) {
  const auto reason = [](int gates, std::int64_t N, std::int64_t H, bool backward, bool bf16,
                         const GridLimits& limits) {
    return kernels::plan_grid({.gates = gates, .states = 2, .N = N, .H = H, .backward = backward, .bf16 = bf16}, limits)
        .reason;
  };
  for (const bool backward : {false, true}) {
    EXPECT_EQ(reason(4, 32, 1024, backward, false, kHopper), "");
    EXPECT_EQ(reason(3, 64, 1024, backward, false, kHopper), "");
    EXPECT_EQ(reason(4, 1, 1536, backward, true, kHopper), "");
    EXPECT_EQ(reason(4, 32, 768, backward, false, kAmpere), "");
  }
  EXPECT_EQ(reason(4, 8, 2048, false, false, kHopper),
            "H 2048 needs 75.8 MB of shared memory, 132 blocks hold 30.7 MB");
  EXPECT_EQ(reason(4, 8, 129, false, false, kSmall), "H 129 on 4 multiprocessors is 33 units a block, more than 32");
  EXPECT_EQ(reason(4, 8, 64, false, false, {75, 40, 65536}), "needs compute capability 8.0, the device has 7.5");
  EXPECT_EQ(reason(4, 1000, 1024, true, false, kHopper),
            "N 1000 and H 1024 exchange through 606.2 MB, more than 268.4 MB");
}

TEST(GridPlan, SplitsTheBatchWhereWeightsAreSmall) {
  const GridPlan many = kernels::plan_grid({.gates = 4, .states = 2, .N = 64, .H = 256}, kHopper).plan;
  EXPECT_EQ(many.groups, 8);
  const GridPlan few = kernels::plan_grid({.gates = 4, .states = 2, .N = 8, .H = 1024}, kHopper).plan;
  EXPECT_EQ(few.groups, 1);
  EXPECT_EQ(few.slices, 128);
}

TEST(GridPlan, LaysPiecesSideBySide) {
  const GridShape shape = {.gates = 3, .states = 1, .N = 33, .H = 100, .backward = true};
  const GridPlan plan = kernels::plan_grid(shape, kSmall).plan;
  const kernels::GridWorkspace w = kernels::grid_workspace(plan, shape);
  EXPECT_GE(w.order, w.counters + 4 * static_cast<std::size_t>(plan.groups * kernels::kGridCounterStride));
  EXPECT_GE(w.length, w.order + 4 * 33);
  EXPECT_GE(w.exchange, w.length + 4 * 33);
  EXPECT_GE(w.carry, w.exchange + 4 * 2 * 33 * 100 * static_cast<std::size_t>(plan.slices));
  EXPECT_GE(w.bytes, w.carry + 4 * 33 * 100);
}

constexpr const char* kRow = "grid-persistent";

std::shared_ptr<device::Backend> backend() { return device_under_test().share(); }
std::shared_ptr<device::Backend> cpu() {
  static const Device device = cpu_device(1);
  return device.share();
}

const Variant& variant(const std::string& name) {
  return *std::find_if(variants().begin(), variants().end(), [&](const Variant& v) { return v.name == name; });
}

/// Values against the equations, gradients against the CPU in double, as far as `checked` says; to f32's bound.
void hold(const std::shared_ptr<device::Backend>& backend, const Layer& l,
          const std::function<bool(int)>& checked = nullptr) {
  LayerRun<float> run(backend, kRow, l, true);
  ASSERT_EQ(run.refusal(), "") << l.name;
  LayerRun<double> exact(cpu(), "packed scan", l, true);
  Result want = exact.forward(), got = run.forward();
  const auto values = expected(l, true);
  op::RecurrentDesc exactly = l.desc;
  exactly.precision = Precision::f32;
  const double bound = tolerance(exactly, false);
  EXPECT_LE(distance(got.y, values.y), bound) << l.name << " y";
  EXPECT_LE(distance(got.final[0], values.final[0]), bound) << l.name << " final h";
  if (state_count(l.desc.cell) > 1) {
    EXPECT_LE(distance(got.final[1], values.final[1]), bound) << l.name << " final c";
    EXPECT_LE(distance(got.states[1], values.states), bound) << l.name << " states";
  }
  exact.backward(want);
  run.backward(got);
  for (int g = 0; g < op::kBackwardOutputs; ++g) {
    if (checked && !checked(g)) continue;
    EXPECT_LE(distance(got.gradient[g], want.gradient[g]), tolerance(exactly, true)) << l.name << " gradient " << g;
  }
}

class RecurrentGrid : public testing::Test {
 protected:
  void SetUp() override {
    const Layer any = make_layer(CellKind::lstm, Direction::forward, variants()[0], {1, 1, 1, 1});
    const std::string why = LayerRun<float>(backend(), kRow, any, true).refusal();
    if (on_emulated_gpu()) {
      ASSERT_EQ(why, "");
    }
    if (!why.empty()) GTEST_SKIP() << why;
  }
};

constexpr CellKind kTaken[] = {CellKind::elman, CellKind::lstm, CellKind::gru};

TEST_F(RecurrentGrid, MatchesAtEveryEdge) {
  const Sizes edges[] = {{2, 1, 2, 33},  {20, 7, 1, 1}, {1, 8, 3, 31},  {3, 9, 2, 32},
                         {2, 33, 2, 32}, {5, 8, 1, 33}, {2, 7, 2, 100}, {4, 33, 1, 1}};
  int turn = 0;
  for (const CellKind cell : kTaken)
    for (const Sizes& z : edges) {
      const Direction direction = turn++ % 2 == 0 ? Direction::forward : Direction::reverse;
      hold(backend(), make_layer(cell, direction, variant("resets"), z));
    }
}

// What a step leaves to one that a sequence does not reach must not be seen: all lengths 0, and one long sequence.
TEST_F(RecurrentGrid, EndsSequencesWhereTheyEnd) {
  for (const CellKind cell : kTaken)
    for (const int longest : {0, 5}) {
      Layer l = make_layer(cell, Direction::reverse, variant("initial"), {5, 17, 2, 31});
      l.lengths.assign(17, 0);
      l.lengths[11] = longest;
      hold(backend(), l);
    }
}

TEST_F(RecurrentGrid, KeepsWeightsInBf16) {
  for (const CellKind cell : kTaken) {
    Layer l = make_layer(cell, Direction::forward, variant("resets"), {5, 9, 2, 33});
    l.desc.precision = Precision::bf16;
    // Numbers that bf16 holds, so that nothing is lost on the way into the products.
    for (const int slot : {op::kInX, op::kInWih, op::kInWhh})
      for (double& v : l.in[slot]) v = std::round(v * 64) / 64;
    // The products of weight gradients round what the scan made; biases and initial states are the scan's own.
    hold(backend(), l, [](int g) {
      return g == op::kGradBih || g == op::kGradBhh || g == op::kGradState0 || g == op::kGradState0 + 1;
    });
  }
}

TEST_F(RecurrentGrid, SaysWhatItDoesNotTake) {
  const auto refusal = [](CellKind cell, const char* name) {
    const Layer l = make_layer(cell, Direction::forward, variant(name), {2, 3, 2, 4});
    return LayerRun<float>(backend(), kRow, l, true).refusal();
  };
  EXPECT_EQ(refusal(CellKind::gru_reset_before, "plain"), "gru_reset_before has two products a step");
  EXPECT_EQ(refusal(CellKind::lstm, "projection"), "a projection is a second product a step");
  EXPECT_EQ(refusal(CellKind::lstm, "zoneout"), "zoneout");
  EXPECT_EQ(refusal(CellKind::lstm, "dropout"), "");
}

#if defined(SEQGPU_TEST_EMULATED)
TEST_F(RecurrentGrid, MatchesOnAnyNumberOfMultiprocessors) {
  const int usual = emulator::device_model().multiprocessors;
  for (const int multiprocessors : {1, 3, 20}) {
    emulator::device_model().multiprocessors = multiprocessors;
    std::string why;
    const auto backend = device::make_cuda_backend({}, why);
    for (const CellKind cell : kTaken) {
      hold(backend, make_layer(cell, Direction::forward, variant("resets"), {3, 19, 2, 31}));
      if (multiprocessors > 3) hold(backend, make_layer(cell, Direction::reverse, variant("dropout"), {2, 9, 2, 100}));
    }
  }
  emulator::device_model().multiprocessors = usual;
}

// What the plan's arithmetic does not know, CUDA does: the row refuses, and the layer runs in another way.
TEST_F(RecurrentGrid, AsksTheDeviceWhatRunsAtOnce) {
  const int usual = emulator::device_model().threads_per_multiprocessor;
  Layer l = make_layer(CellKind::lstm, Direction::forward, variant("plain"), {2, 3, 2, 40});
  l.desc.precision = Precision::f32;
  EXPECT_EQ(LayerRun<float>(backend(), kRow, l, true).refusal(), "");
  emulator::device_model().threads_per_multiprocessor = 32;  // not one block of this kernel
  const std::string refusal = LayerRun<float>(backend(), kRow, l, true).refusal();
  EXPECT_THAT(refusal,
              testing::MatchesRegex("all [0-9]+ blocks must run at once, a multiprocessor runs 0 and the device 0"));
  LayerRun<float> chosen(backend(), "", l, true);
  EXPECT_EQ(chosen.refusal(), "");
  emulator::device_model().threads_per_multiprocessor = usual;
}
#endif

}  // namespace
}  // namespace seqgpu
