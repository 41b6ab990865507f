#include <gmock/gmock.h>

#include <bit>

#include "kernels/recurrent/cluster_plan.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/device/recurrent_cases.hpp"
#if defined(SEQGPU_TEST_EMULATED)
#include "emulator/control.hpp"
#endif

// `cluster-persistent`: its plan, sizes that need large clusters, and its products in bf16. The table that all
// strategies share is in recurrent_test.cpp, the kernels alone in recurrent_cluster_scan_test.cpp.
namespace seqgpu {
namespace {

using namespace recurrent_cases;
using kernels::ClusterLimits;
using kernels::ClusterPlan;
using kernels::ClusterShape;
using kernels::plan_cluster;

constexpr CellKind kOnePhase[] = {CellKind::elman, CellKind::lstm, CellKind::gru};
constexpr ClusterLimits kHopper = {.compute_capability = 90,
                                   .multiprocessors = 132,
                                   .cluster_blocks = 16,
                                   .shared_bytes_per_block = 232448,
                                   .registers_per_multiprocessor = 65536};

ClusterPlan plan(CellKind cell, Precision precision, std::int64_t N, std::int64_t H) {
  return plan_cluster({.cell = cell, .precision = precision, .N = N, .H = H}, kHopper);
}

TEST(ClusterPlan, TakesTheSmallestClusterThatOwnsAllUnits) {
  for (const auto& [H, blocks] : {std::pair{1, 1}, {31, 1}, {32, 1}, {33, 2}, {64, 2}, {100, 4}, {129, 8}, {256, 8}})
    for (const CellKind cell : kOnePhase)
      for (const Precision precision : {Precision::f32, Precision::tf32, Precision::bf16}) {
        const ClusterPlan p = plan(cell, precision, 1, H);
        EXPECT_EQ(p.refusal, "") << H;
        EXPECT_EQ(p.blocks, blocks) << H;
        EXPECT_EQ(p.padded_H, 32 * blocks) << H;
        EXPECT_EQ(p.precision, precision == Precision::bf16 ? Precision::bf16 : Precision::f32);
      }
  EXPECT_EQ(plan(CellKind::lstm, Precision::bf16, 1, 512).blocks, 16);
  EXPECT_EQ(plan(CellKind::lstm, Precision::bf16, 1, 512).weight_registers, 128);
  EXPECT_EQ(plan(CellKind::elman, Precision::f32, 1, 512).weight_registers, 64);
}

TEST(ClusterPlan, WeightsFillRegistersNotMore) {
  for (const CellKind cell : kOnePhase)
    for (const Precision precision : {Precision::f32, Precision::bf16})
      for (std::int64_t H = 1; H <= 600; ++H) {
        const ClusterPlan p = plan(cell, precision, 64, H);
        if (!p.refusal.empty()) continue;
        EXPECT_LE(p.weight_registers, kernels::kWeightRegisters);
        const std::int64_t held = std::int64_t{4} * p.weight_registers * p.threads * p.blocks;
        EXPECT_GE(held, H * H * gate_count(cell) * (precision == Precision::bf16 ? 2 : 4));
        EXPECT_LE(std::max(p.forward_shared_bytes, p.backward_shared_bytes), kHopper.shared_bytes_per_block);
      }
}

TEST(ClusterPlan, SpreadsFewSequencesAndFillsTilesOfMany) {
  EXPECT_EQ(plan(CellKind::lstm, Precision::f32, 1, 256).tile, 1);
  EXPECT_EQ(plan(CellKind::lstm, Precision::f32, 16, 256).tile, 1);  // 132 / 8 clusters at once
  EXPECT_EQ(plan(CellKind::lstm, Precision::f32, 17, 256).tile, 2);
  EXPECT_EQ(plan(CellKind::lstm, Precision::f32, 100, 256).tile, 7);
  EXPECT_EQ(plan(CellKind::lstm, Precision::f32, 4096, 256).tile, 8);
  EXPECT_EQ(plan_cluster({.cell = CellKind::lstm, .N = 16, .H = 256, .directions = 2}, kHopper).tile, 2);
}

TEST(ClusterPlan, SaysWhyNotWithNumbers) {
  EXPECT_EQ(plan(CellKind::lstm, Precision::bf16, 1, 1024).refusal,
            "H=1024 in bf16 needs 8.4 MB, a cluster of 16 holds 2.1 MB");
  EXPECT_EQ(plan(CellKind::lstm, Precision::f32, 1, 257).refusal,
            "H=257 in f32 needs 4.2 MB padded to 512, a cluster of 16 holds 2.1 MB");
  EXPECT_EQ(plan(CellKind::elman, Precision::bf16, 1, 513).refusal,
            "H=513 needs 17 blocks of 32 units, a cluster has at most 16");
  EXPECT_EQ(plan(CellKind::gru_reset_before, Precision::f32, 1, 32).refusal,
            "gru_reset_before needs two products a step");
  const auto refusal = [](ClusterShape shape, ClusterLimits limits) { return plan_cluster(shape, limits).refusal; };
  EXPECT_EQ(refusal({.N = 1, .H = 32, .projection = true}, kHopper), "a projection is a second product a step");
  EXPECT_EQ(refusal({.N = 1, .H = 32, .zoneout = true}, kHopper), "zoneout is left to stepwise");
  ClusterLimits limits = kHopper;
  limits.compute_capability = 80;
  EXPECT_EQ(refusal({.N = 1, .H = 32}, limits), "compute capability 8.0 has no clusters");
  limits = kHopper;
  limits.cluster_blocks = 8;
  EXPECT_EQ(refusal({.precision = Precision::bf16, .N = 1, .H = 300}, limits),
            "H=300 needs a cluster of 16, the device allows 8");
  limits = kHopper;
  limits.multiprocessors = 4;
  EXPECT_EQ(refusal({.N = 1, .H = 200}, limits), "H=200 needs 8 multiprocessors, the device has 4");
}

/// A device with room for the largest cluster; the emulated one is small otherwise.
std::shared_ptr<device::Backend> backend() {
#if defined(SEQGPU_TEST_EMULATED)
  static const Device device = [] {
    const int few = emulator::device_model().multiprocessors;
    emulator::device_model().multiprocessors = 16;
    Device wide = cuda_device(0);
    emulator::device_model().multiprocessors = few;
    return wide;
  }();
  return device.share();
#else
  return device_under_test().share();
#endif
}
std::shared_ptr<device::Backend> cpu() {
  static const Device device = cpu_device(1);
  return device.share();
}

class ClusterPersistent : public testing::Test {
 protected:
  void SetUp() override {
#if defined(SEQGPU_TEST_EMULATED)
    if (device_under_test().kind() != DeviceKind::cuda) GTEST_SKIP() << "the CPU is under test";
#endif
    const Layer any = make_layer(CellKind::lstm, Direction::forward, variants()[0], sizes()[0]);
    const std::string why = LayerRun<float>(backend(), "cluster-persistent", any, true).refusal();
    if (on_emulated_gpu()) {
      ASSERT_EQ(why, "");
    }
    if (!why.empty()) GTEST_SKIP() << why;
  }

  /// Values and gradients against the CPU in f64.
  static void expect_near_double(const Layer& l) {
    LayerRun<float> run(backend(), "cluster-persistent", l, true);
    ASSERT_EQ(run.refusal(), "") << l.name;
    LayerRun<double> exact(cpu(), "packed scan", l, true);
    Result want = exact.forward(), got = run.forward();
    EXPECT_LE(distance(got.y, want.y), tolerance(l.desc, false)) << l.name;
    for (int s = 0; s < state_count(l.desc.cell); ++s)
      EXPECT_LE(distance(got.final[s], want.final[s]), tolerance(l.desc, false)) << l.name;
    exact.backward(want);
    run.backward(got);
    for (int g = 0; g < op::kBackwardOutputs; ++g)
      EXPECT_LE(distance(got.gradient[g], want.gradient[g]), tolerance(l.desc, true)) << l.name << " gradient " << g;
  }
};

const Variant& variant(const std::string& name) {
  for (const Variant& v : variants())
    if (v.name == name) return v;
  throw std::logic_error("no variant " + name);
}

TEST_F(ClusterPersistent, ServesLargeClusters) {
  for (const CellKind cell : kOnePhase)
    expect_near_double(make_layer(cell, Direction::reverse, variant("resets"), {3, 3, 2, 129}));  // 8 blocks
  expect_near_double(make_layer(CellKind::elman, Direction::forward, variant("ragged"), {3, 3, 2, 257}));
  for (const CellKind cell : kOnePhase) {
    Layer l = make_layer(cell, Direction::forward, variant("ragged"), {3, 3, 2, 257});  // 16 blocks
    l.desc.precision = Precision::bf16;
    expect_near_double(l);
  }
}

// Without kinks: next to one of relu or of the clip any rounding may change a gradient by its whole size. And of sums
// of many terms, as tolerance() assumes: one unit that feeds itself 20 times multiplies its error.
TEST_F(ClusterPersistent, Bf16StaysNearDouble) {
  for (const CellKind cell : kOnePhase)
    for (const Direction direction : {Direction::forward, Direction::reverse})
      for (Layer& l : layers_of(cell, direction)) {
        l.desc.precision = Precision::bf16;
        if (l.desc.activation == Activation::relu || l.desc.cell_clip > 0 || l.desc.H == 1) continue;
        if (LayerRun<float>(backend(), "cluster-persistent", l, true).refusal().empty()) expect_near_double(l);
      }
}

double to_bf16(double value) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value));
  return std::bit_cast<float>((bits + 0x7FFFu + ((bits >> 16) & 1)) & 0xFFFF0000u);
}

/// One step from a given state without inputs: what the product multiplies is bf16 already, if the layer says so.
Layer one_step(CellKind cell, int N, int H) {
  Layer l = make_layer(cell, Direction::forward, variant("initial"), {1, N, 0, H});
  for (const int slot : {+op::kInWhh, +op::kInState0})
    for (double& v : l.in[slot]) v = to_bf16(v);
  return l;
}

TEST_F(ClusterPersistent, Bf16RoundsNothingThatIsBf16) {
  for (const CellKind cell : kOnePhase)
    for (const int H : {1, 31, 32, 33, 100})
      for (const int N : {1, 7, 8, 9, 33}) {
        Layer l = one_step(cell, N, H);
        const double f32_tolerance = tolerance(l.desc, false);
        l.desc.precision = Precision::bf16;
        const Result got = LayerRun<float>(backend(), "cluster-persistent", l, true).forward();
        EXPECT_LE(distance(got.y, expected(l, true).y), f32_tolerance) << l.name;
      }
}

// d h0 = R^T d rh rounds each term of the sum to bf16 once: by at most 2^-9 of it. With one sequence and one step,
// d b_hh is d rh.
TEST_F(ClusterPersistent, Bf16RoundsEachTermOfBackwardOnce) {
  for (const CellKind cell : {CellKind::elman, CellKind::lstm})  // whose h enters by the product alone
    for (const int H : {1, 31, 32, 33, 100}) {
      Layer l = one_step(cell, 1, H);
      LayerRun<double> exact(cpu(), "packed scan", l, true);
      Result want = exact.forward();
      exact.backward(want);
      l.desc.precision = Precision::bf16;
      LayerRun<float> run(backend(), "cluster-persistent", l, true);
      Result got = run.forward();
      run.backward(got);
      const auto width = static_cast<std::size_t>(H);
      for (std::size_t k = 0; k < width; ++k) {
        double terms = 0;
        for (std::size_t r = 0; r < l.in[op::kInWhh].size() / width; ++r)
          terms += std::abs(l.in[op::kInWhh][r * width + k] * want.gradient[op::kGradBhh][r]);
        EXPECT_NEAR(got.gradient[op::kGradState0][k], want.gradient[op::kGradState0][k], 0x1p-9 * terms + 1e-6)
            << l.name << " unit " << k;
      }
    }
}

#if defined(SEQGPU_TEST_EMULATED)
// What the plan's arithmetic does not know, CUDA does: the row refuses, and another takes the layer.
TEST_F(ClusterPersistent, AsksTheDeviceForRoom) {
  const auto refusal = [](const std::string& row, bool training) {
    Layer l = make_layer(CellKind::lstm, Direction::forward, variant("plain"), {2, 3, 2, 40});
    return LayerRun<float>(backend(), row, l, training).refusal();
  };
  const auto occupancy_calls = [] { return emulator::calls("cudaOccupancyMaxActiveClusters"); };
  const std::size_t before = occupancy_calls();
  EXPECT_EQ(refusal("cluster-persistent", true), "");
  EXPECT_EQ(occupancy_calls(), before + 2) << "forward and backward";
  const int usual = emulator::device_model().threads_per_multiprocessor;
  emulator::device_model().threads_per_multiprocessor = 128;  // not one block of 256
  for (const bool training : {false, true}) {
    EXPECT_THAT(
        refusal("cluster-persistent", training),
        testing::MatchesRegex("the device has no room for a cluster of 2 blocks of 256 threads and [0-9]+ bytes "
                              "of shared memory"));
    EXPECT_EQ(refusal("", training), "");
  }
  emulator::device_model().threads_per_multiprocessor = usual;
  emulator::fail_next("cudaOccupancyMaxActiveClusters", cudaErrorUnknown);
  EXPECT_THAT(refusal("cluster-persistent", false),
              testing::HasSubstr("cudaOccupancyMaxActiveClusters: cudaErrorUnknown"));
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  EXPECT_EQ(refusal("cluster-persistent", true), "");
}

// Kernels of a second device are asked about there.
TEST_F(ClusterPersistent, AsksTheDeviceThatItPlansFor) {
  emulator::device_model().count = 2;
  std::string why;
  const auto second = device::make_cuda_backend({.device = 1}, why);
  ASSERT_TRUE(second) << why;
  EXPECT_EQ(second->table().limits.device, 1);
  const Layer l = make_layer(CellKind::gru, Direction::forward, variant("plain"), {2, 3, 2, 40});
  const std::size_t before = emulator::calls("cudaSetDevice");
  EXPECT_EQ(LayerRun<float>(second, "cluster-persistent", l, false).refusal(), "");
  EXPECT_EQ(emulator::calls("cudaSetDevice"), before + 2) << "there and back";
  emulator::device_model().count = 1;
}
#endif

}  // namespace
}  // namespace seqgpu
