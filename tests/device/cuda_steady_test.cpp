// What whole training steps ask of the CUDA runtime, once their programs are captured.
#if defined(SEQGPU_TEST_EMULATED)

#include <gtest/gtest.h>

#include <string>

#include "emulator/control.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/train/tagger.hpp"

namespace seqgpu {
namespace {

std::size_t calls(const char* function) { return emulator::calls(function); }

void expect_no_allocation() {
  for (const char* function :
       {"cudaMalloc", "cudaFree", "cudaMallocHost", "cudaFreeHost", "cudaEventCreateWithFlags",
        "cudaStreamCreateWithFlags", "cudaGraphInstantiate", "cudaStreamBeginCapture", "cudaLaunchKernelEx"}) {
    EXPECT_EQ(calls(function), 0u) << function;
  }
}

TEST(CudaSteadyState, AStepIsItsUploadsOneGraphAndOneWait) {
  support::Tagger tagger(device_under_test(), {});
  Trainer trainer(device_under_test(), tagger.parameters, Adam{}, [&](Graph& g) { return tagger.loss(g); });
  const Batch batches[] = {support::tagger_batch(5, 4, 1), support::tagger_batch(3, 4, 2)};
  for (int step = 0; step < 3; ++step) {
    for (const Batch& batch : batches) trainer.step(batch);
  }
  const emulator::Live before = emulator::live();
  for (int step = 0; step < 4; ++step) {
    emulator::reset_calls();
    trainer.step(batches[step % 2]);
    expect_no_allocation();
    EXPECT_EQ(calls("cudaMemcpyAsync"), 3u);  // ids, labels, lengths
    EXPECT_EQ(calls("cudaGraphLaunch"), 1u);
    EXPECT_EQ(calls("cudaStreamSynchronize"), 1u);
    EXPECT_EQ(calls("cudaDeviceSynchronize") + calls("cudaEventSynchronize"), 0u);
  }
  EXPECT_EQ(emulator::live(), before) << emulator::live().text();
}

// The predicted peak is the measured one; what the backend holds for itself is outside both, and does not grow.
TEST(CudaSteadyState, ThePlansPeakIsTheDevices) {
  const Device device = best_device();
  support::Tagger tagger(device, {});
  Trainer trainer(device, tagger.parameters, Adam{}, [&](Graph& g) { return tagger.loss(g); });
  const Batch batch = support::tagger_batch(5, 4, 1);
  const std::int64_t peak = trainer.predicted_peak_bytes(batch);
  for (int step = 0; step < 3; ++step) trainer.step(batch);
  EXPECT_EQ(device.memory().peak, peak);
}

}  // namespace
}  // namespace seqgpu

#endif
