#if defined(SEQGPU_TEST_EMULATED)

#include <gtest/gtest.h>

#include <string>

#include "device/device.hpp"
#include "emulator/control.hpp"
#include "tests/train/tagger.hpp"

// Both directions of a layer go in one launch of the cluster kernel, forward and backward.
namespace seqgpu {
namespace {

Device cuda_with(int streams, const char* strategy) {
  std::string why;
  return Device(device::make_cuda_backend({.streams = streams, .graphs = false, .only = strategy}, why));
}

/// Kernels launched by a training step of a bidirectional layer.
std::int64_t kernels_of_a_step(const Device& device, CellKind cell) {
  support::TaggerOptions options;
  options.cell = cell;
  support::Tagger tagger(device, options);
  Trainer trainer(device, tagger.parameters, Sgd{.rate = 0.1f}, [&](Graph& g) { return tagger.loss(g); });
  const Batch batch = support::tagger_batch(4, 3, 1);
  trainer.step(batch);
  const auto before = static_cast<std::int64_t>(emulator::calls("cudaLaunchKernelEx"));
  trainer.step(batch);
  return static_cast<std::int64_t>(emulator::calls("cudaLaunchKernelEx")) - before;
}

TEST(CudaPair, DirectionsShareALaunch) {
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru}) {
    const std::int64_t apart = kernels_of_a_step(cuda_with(1, "cluster-persistent"), cell);
    const std::int64_t together = kernels_of_a_step(cuda_with(4, "cluster-persistent"), cell);
    EXPECT_EQ(apart - together, 2) << to_string(cell) << ": one launch fewer forward, one backward";
  }
}

TEST(CudaPair, OtherStrategiesGoApart) {
  for (const char* strategy : {"grid-persistent", "stepwise"})
    EXPECT_EQ(kernels_of_a_step(cuda_with(1, strategy), CellKind::lstm),
              kernels_of_a_step(cuda_with(4, strategy), CellKind::lstm))
        << strategy;
}

}  // namespace
}  // namespace seqgpu

#endif
