#include <cstdint>
#include <thread>

#include "emulator/runtime_support.hpp"

namespace seqgpu::tests {
namespace {

using EmulatorRuntime = RuntimeTest;
using emulator::StreamOrder;

TEST_F(EmulatorRuntime, RunsOnlyWhatTheHostWaitsFor) {
  const cudaStream_t one = stream(), two = stream();
  int* p = device<int>(2);
  EXPECT_EQ(launch(one, [p] { p[0] = 1; }), cudaSuccess);
  EXPECT_EQ(launch(two, [p] { p[1] = p[0]; }), cudaSuccess);  // no event: reads too early
  EXPECT_EQ(cudaStreamSynchronize(two), cudaSuccess);
  EXPECT_EQ(p[0], -1);
  EXPECT_EQ(p[1], -1);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(p[0], 1);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(one), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(two), cudaSuccess);
}

TEST_F(EmulatorRuntime, EventsOrderStreams) {
  for (const StreamOrder order : {StreamOrder::enqueued, StreamOrder::reverse, StreamOrder::random}) {
    emulator::set_stream_order(order, 7);
    const cudaStream_t one = stream(), two = stream();
    const cudaEvent_t done = event();
    int* p = device<int>(2);
    EXPECT_EQ(launch(one, [p] { p[0] = 1; }), cudaSuccess);
    EXPECT_EQ(cudaEventRecord(done, one), cudaSuccess);
    EXPECT_EQ(launch(one, [p] { p[0] += 1; }), cudaSuccess);
    EXPECT_EQ(cudaStreamWaitEvent(two, done, 0), cudaSuccess);
    EXPECT_EQ(launch(two, [p] { p[1] = p[0]; }), cudaSuccess);
    EXPECT_EQ(cudaEventDestroy(done), cudaSuccess) << "the wait stays";
    EXPECT_EQ(cudaStreamSynchronize(two), cudaSuccess);
    EXPECT_GE(p[1], 1);
    EXPECT_EQ(cudaFree(p), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(one), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(two), cudaSuccess);
  }
}

TEST_F(EmulatorRuntime, EventsTellWhenTheyAreReached) {
  const cudaStream_t s = stream();
  const cudaEvent_t start = event(cudaEventDefault), end = event(cudaEventDefault), untimed = event();
  float ms = -1;
  EXPECT_EQ(cudaEventQuery(start), cudaSuccess) << "never recorded";
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventRecord(start, s), cudaSuccess);
  EXPECT_EQ(launch(s, [] {}), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(end, s), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), cudaErrorNotReady);
  int polls = 0;
  while (cudaEventQuery(end) == cudaErrorNotReady) ++polls;  // ends: each query lets something run
  EXPECT_EQ(polls, 3);
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, end), cudaSuccess);
  EXPECT_GE(ms, 0.f);
  EXPECT_EQ(cudaEventRecord(untimed, s), cudaSuccess);
  EXPECT_EQ(cudaEventSynchronize(untimed), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&ms, start, untimed), cudaErrorInvalidResourceHandle);
  for (const cudaEvent_t e : {start, end, untimed}) EXPECT_EQ(cudaEventDestroy(e), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorInvalidResourceHandle);
}

// The default stream waits for blocking streams and they for it; a non-blocking one stands apart.
TEST_F(EmulatorRuntime, TheDefaultStreamOrdersBlockingStreams) {
  emulator::set_stream_order(StreamOrder::reverse, 1);
  const cudaStream_t blocking = stream(cudaStreamDefault), apart = stream();
  int* p = device<int>(3);
  EXPECT_EQ(launch(blocking, [p] { p[0] = 1; }), cudaSuccess);
  EXPECT_EQ(launch(apart, [p] { p[1] = 1; }), cudaSuccess);
  EXPECT_EQ(launch(nullptr, [p] { p[2] = 10 * p[0] + p[1]; }), cudaSuccess);
  EXPECT_EQ(launch(blocking, [p] { p[0] = p[2]; }), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(blocking), cudaSuccess);
  EXPECT_EQ(p[0], 10 - 1);
  EXPECT_EQ(cudaStreamQuery(apart), cudaErrorNotReady);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(blocking), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(apart), cudaSuccess);
}

// Two streams without an order between them: reverse and some seeds show both outcomes, each seed always the same one.
TEST_F(EmulatorRuntime, OrdersAreLegalAndRepeatable) {
  const cudaStream_t one = stream(), two = stream();
  int* p = device<int>(1);
  const auto last_writer = [&](StreamOrder order, std::uint64_t seed) {
    emulator::set_stream_order(order, seed);
    EXPECT_EQ(launch(one, [p] { *p = 1; }), cudaSuccess);
    EXPECT_EQ(launch(two, [p] { *p = 2; }), cudaSuccess);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    return *p;
  };
  EXPECT_EQ(last_writer(StreamOrder::enqueued, 1), 2);
  EXPECT_EQ(last_writer(StreamOrder::reverse, 1), 1);
  bool seen[3] = {};
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    const int writer = last_writer(StreamOrder::random, seed);
    EXPECT_EQ(last_writer(StreamOrder::random, seed), writer);
    seen[writer] = true;
  }
  EXPECT_TRUE(seen[1] && seen[2]);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(one), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(two), cudaSuccess);
}

TEST_F(EmulatorRuntime, HostFunctionsRunInOrderAndMayNotCallTheRuntime) {
  struct Seen {
    int value = 0;
    cudaError_t error = cudaSuccess;
  } seen;
  const cudaStream_t s = stream();
  int* p = device<int>(1);
  EXPECT_EQ(launch(s, [p] { *p = 4; }), cudaSuccess);
  static int* device_value;
  device_value = p;
  const auto read = [](void* data) {
    auto* into = static_cast<Seen*>(data);
    into->value = *device_value;
    into->error = cudaDeviceSynchronize();
  };
  EXPECT_EQ(cudaLaunchHostFunc(s, read, &seen), cudaSuccess);
  EXPECT_EQ(seen.value, 0);
  EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
  EXPECT_EQ(seen.value, 4);
  EXPECT_EQ(seen.error, cudaErrorNotPermitted);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
}

TEST_F(EmulatorRuntime, AStreamMayGoBeforeItsWork) {
  int* p = device<int>(1);
  const cudaStream_t s = stream();
  for (int i = 0; i < 100000; ++i) EXPECT_EQ(launch(s, [p, i] { *p = i; }), cudaSuccess);  // a long chain
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
  EXPECT_EQ(emulator::live().pending, 100000u);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  EXPECT_EQ(*p, 99999);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
}

TEST_F(EmulatorRuntime, HostThreadsTakeTurns) {
  int* p = device<int>(2);
  const auto count = [p](int index) {
    const cudaStream_t s = stream();
    for (int i = 0; i < 200; ++i) {
      EXPECT_EQ(launch(s, [p, index] { p[index] += 1; }), cudaSuccess);
      if (i % 10 == 0) {
        EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
      }
    }
    EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
    EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
  };
  std::thread one(count, 0), two(count, 1);
  one.join();
  two.join();
  EXPECT_EQ(p[0], 199);
  EXPECT_EQ(p[1], 199);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
}

// The last error is the thread's own; the sticky one is the device's.
TEST_F(EmulatorRuntime, EachThreadHasItsLastError) {
  EXPECT_EQ(cudaSetDevice(7), cudaErrorInvalidDevice);
  std::thread([] { EXPECT_EQ(cudaGetLastError(), cudaSuccess); }).join();
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidDevice);
  EXPECT_EQ(launch(nullptr, [] { emulator::fail("fault"); }), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  std::thread([] { EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure); }).join();
}

}  // namespace
}  // namespace seqgpu::tests
