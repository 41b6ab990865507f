#include <cstring>
#include <string>
#include <vector>

#include "emulator/runtime_support.hpp"

namespace seqgpu::tests {
namespace {

using EmulatorRuntime = RuntimeTest;
using emulator::device_model;
using emulator::fail_next;
using emulator::StreamOrder;
using testing::HasSubstr;

// The device.

TEST_F(EmulatorRuntime, IsASmallHopper) {
  int count = 0, device = -1, value = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(cudaGetDevice(&device), cudaSuccess);
  EXPECT_EQ(device, 0);
  cudaDeviceProp properties{};
  ASSERT_EQ(cudaGetDeviceProperties(&properties, 0), cudaSuccess);
  EXPECT_STREQ(properties.name, "Emulated GPU");
  EXPECT_EQ(properties.major * 10 + properties.minor, 90);
  EXPECT_EQ(properties.multiProcessorCount, 4);
  EXPECT_EQ(properties.sharedMemPerBlockOptin, 227u * 1024);
  EXPECT_EQ(properties.clusterLaunch, 1);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
  EXPECT_EQ(value, 227 * 1024);
  EXPECT_EQ(cudaDeviceGetAttribute(&value, cudaDevAttrCooperativeLaunch, 0), cudaSuccess);
  EXPECT_EQ(value, 1);
}

TEST_F(EmulatorRuntime, PretendsAnotherCapability) {
  emulator::set_compute_capability(8, 0);
  device_model().multiprocessors = 2;
  int clusters = -1, shared = 0, multiprocessors = 0;
  EXPECT_EQ(cudaDeviceGetAttribute(&clusters, cudaDevAttrClusterLaunch, 0), cudaSuccess);
  EXPECT_EQ(cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, 0), cudaSuccess);
  EXPECT_EQ(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), cudaSuccess);
  EXPECT_EQ(clusters, 0);
  EXPECT_EQ(shared, 163 * 1024);
  EXPECT_EQ(multiprocessors, 2);
}

TEST_F(EmulatorRuntime, PretendsNoDeviceOrNoDriver) {
  int count = -1, version = -1;
  device_model().count = 0;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(cudaSetDevice(0), cudaErrorNoDevice);
  device_model().driver = false;
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaDriverGetVersion(&version), cudaSuccess);
  EXPECT_EQ(version, 0);
  EXPECT_EQ(cudaRuntimeGetVersion(&version), cudaSuccess);
  EXPECT_GT(version, 0);
  device_model() = {};
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
}

// Memory.

TEST_F(EmulatorRuntime, CountsMemoryAndKeepsTheLimit) {
  device_model().memory_bytes = 1000;
  std::size_t free = 0, total = 0;
  void *p = nullptr, *q = nullptr;
  ASSERT_EQ(cudaMalloc(&p, 600), cudaSuccess);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(p) % 256, 0u);
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(free, 400u);
  EXPECT_EQ(total, 1000u);
  EXPECT_EQ(cudaMalloc(&q, 401), cudaErrorMemoryAllocation);
  EXPECT_EQ(q, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(emulator::live().text(), "1 device allocation (600 bytes)");
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(emulator::peak_device_bytes(), 600u);
  EXPECT_EQ(emulator::calls("cudaMalloc"), 2u);
}

TEST_F(EmulatorRuntime, FreshMemoryIsNotZero) {
  const int* p = device<int>(3);
  const int* q = pinned<int>(3);
  EXPECT_EQ(p[2], -1);
  EXPECT_EQ(q[2], -1);
  EXPECT_EQ(cudaFree(const_cast<int*>(p)), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(const_cast<int*>(q)), cudaSuccess);
}

TEST_F(EmulatorRuntime, RefusesWrongPointers) {
  int* p = device<int>(4);
  int* q = device<int>(4);
  int host[8] = {};
  EXPECT_EQ(cudaFree(host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(p + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(cudaMemcpy(p, host, sizeof host, cudaMemcpyHostToDevice), cudaErrorInvalidValue) << "beyond the end";
  EXPECT_EQ(cudaMemcpy(p + 3, host, 8, cudaMemcpyHostToDevice), cudaErrorInvalidValue) << "beyond the end";
  EXPECT_EQ(cudaMemcpy(host, host + 4, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(p, q, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, p, 4, cudaMemcpyDeviceToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(host, 0, 4), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(p, 0, 17), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemset(p, 0, 16), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaErrorInvalidValue) << "freed twice";
  EXPECT_EQ(cudaMemcpy(p, host, 4, cudaMemcpyDefault), cudaErrorInvalidValue) << "freed";
  EXPECT_EQ(cudaMemcpy(q, p, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue) << "freed";
  EXPECT_EQ(cudaFree(q), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(host), cudaErrorInvalidValue);
}

TEST_F(EmulatorRuntime, KnowsWhatAPointerIs) {
  int* p = device<int>(4);
  int* q = pinned<int>(4);
  int host = 0;
  cudaPointerAttributes attributes{};
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, p + 3), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeDevice);
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, q + 3), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeHost);
  EXPECT_EQ(cudaPointerGetAttributes(&attributes, &host), cudaSuccess);
  EXPECT_EQ(attributes.type, cudaMemoryTypeUnregistered);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(q), cudaSuccess);
}

// Pageable memory is read at the call, pinned memory when the copy runs.
TEST_F(EmulatorRuntime, StagesPageableMemory) {
  const cudaStream_t s = stream();
  int* p = device<int>(2);
  int* source = pinned<int>(1);
  int pageable = 6;
  *source = 5;
  EXPECT_EQ(cudaMemcpyAsync(p, source, 4, cudaMemcpyHostToDevice, s), cudaSuccess);
  EXPECT_EQ(cudaMemcpyAsync(p + 1, &pageable, 4, cudaMemcpyHostToDevice, s), cudaSuccess);
  *source = 7;
  pageable = 8;
  EXPECT_EQ(p[0], -1) << "nothing runs before the host waits";
  EXPECT_EQ(cudaStreamSynchronize(s), cudaSuccess);
  EXPECT_EQ(p[0], 7);
  EXPECT_EQ(p[1], 6);

  int into_pageable = 0;
  EXPECT_EQ(cudaMemcpyAsync(&into_pageable, p, 4, cudaMemcpyDeviceToHost, s), cudaSuccess);
  EXPECT_EQ(into_pageable, 7) << "into pageable memory the call waits";
  *source = 0;
  EXPECT_EQ(cudaMemcpyAsync(source, p + 1, 4, cudaMemcpyDeviceToHost, s), cudaSuccess);
  EXPECT_EQ(*source, 0) << "into pinned memory it does not";
  EXPECT_EQ(cudaFreeHost(source), cudaSuccess) << "waits for the copy";
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
}

// Streams and events.

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

// Launches.

TEST_F(EmulatorRuntime, RefusesLaunchesThatTheDeviceCannotRun) {
  static const char kernel = 0;
  const auto shape = [](dim3 grid, dim3 block, std::size_t shared = 0) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = block;
    config.dynamicSmemBytes = shared;
    return launch_shape(config, &kernel);
  };
  EXPECT_EQ(shape(1, 1024), cudaSuccess);
  EXPECT_EQ(shape(1, 1025), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shape(1, dim3(32, 33)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shape(1, dim3(1, 1, 65)), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shape(0, 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shape(dim3(1, 65536), 32), cudaErrorInvalidConfiguration);
  EXPECT_EQ(shape(1, 32, 48 * 1024), cudaSuccess);
  EXPECT_EQ(shape(1, 32, 48 * 1024 + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFuncSetAttribute(&kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024), cudaSuccess);
  EXPECT_EQ(shape(1, 32, 227 * 1024), cudaSuccess);
  EXPECT_EQ(cudaFuncSetAttribute(&kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 227 * 1024 + 1),
            cudaErrorInvalidValue);
  emulator::set_compute_capability(8, 0);
  EXPECT_EQ(shape(1, 32, 227 * 1024), cudaErrorInvalidValue);
}

TEST_F(EmulatorRuntime, RefusesClustersAndGridsThatDoNotFit) {
  static const char kernel = 0;
  const auto shape = [](unsigned grid, unsigned threads, cudaLaunchAttribute attribute) {
    cudaLaunchConfig_t config{};
    config.gridDim = grid;
    config.blockDim = threads;
    config.attrs = &attribute;
    config.numAttrs = 1;
    return launch_shape(config, &kernel);
  };
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  const auto clusters = [&](unsigned grid, unsigned size) {
    cluster.val.clusterDim.x = size;
    cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    return shape(grid, 32, cluster);
  };
  EXPECT_EQ(clusters(16, 8), cudaSuccess);
  EXPECT_EQ(clusters(12, 8), cudaErrorInvalidConfiguration);
  EXPECT_EQ(clusters(16, 16), cudaErrorInvalidClusterSize);
  EXPECT_EQ(cudaFuncSetAttribute(&kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1), cudaSuccess);
  EXPECT_EQ(clusters(16, 16), cudaSuccess);
  EXPECT_EQ(clusters(32, 32), cudaErrorInvalidClusterSize);
  emulator::set_compute_capability(8, 0);
  EXPECT_EQ(clusters(16, 8), cudaErrorNotSupported);
  device_model() = {};

  cudaLaunchAttribute cooperative{};
  cooperative.id = cudaLaunchAttributeCooperative;
  cooperative.val.cooperative = 1;
  int blocks = 0;
  EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &kernel, 1024, 0), cudaSuccess);
  EXPECT_EQ(blocks, 2);
  EXPECT_EQ(shape(8, 1024, cooperative), cudaSuccess);
  EXPECT_EQ(shape(9, 1024, cooperative), cudaErrorCooperativeLaunchTooLarge);
  device_model().multiprocessors = 5;
  EXPECT_EQ(shape(9, 1024, cooperative), cudaSuccess);
}

TEST_F(EmulatorRuntime, SaysWhatFits) {
  static const char kernel = 0;
  int count = 0;
  EXPECT_EQ(cudaFuncSetAttribute(&kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, 200 * 1024), cudaSuccess);
  EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, &kernel, 256, 100 * 1024), cudaSuccess);
  EXPECT_EQ(count, 2);
  EXPECT_EQ(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&count, &kernel, 256, 200 * 1024 + 1), cudaSuccess);
  EXPECT_EQ(count, 0);
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim.x = 4;
  cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = 8;
  config.blockDim = 256;
  config.dynamicSmemBytes = 200 * 1024;
  config.attrs = &cluster;
  config.numAttrs = 1;
  EXPECT_EQ(cudaOccupancyMaxActiveClusters(&count, &kernel, &config), cudaSuccess);
  EXPECT_EQ(count, 1);
  cudaFuncAttributes attributes{};
  EXPECT_EQ(cudaFuncGetAttributes(&attributes, &kernel), cudaSuccess);
  EXPECT_EQ(attributes.maxDynamicSharedSizeBytes, 200 * 1024);
}

// Errors.

TEST_F(EmulatorRuntime, ErrorsOfKernelsStick) {
  const cudaStream_t s = stream();
  const cudaEvent_t e = event();
  int* p = device<int>(1);
  EXPECT_EQ(launch(
                s, [] { emulator::fail("planted fault %d", 7); }, "broken"),
            cudaSuccess);
  EXPECT_EQ(launch(s, [p] { *p = 1; }), cudaSuccess);
  EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess) << "nothing ran yet";
  EXPECT_EQ(cudaStreamSynchronize(s), cudaErrorLaunchFailure);
  EXPECT_THAT(cudaGetErrorString(cudaErrorLaunchFailure), HasSubstr("planted fault 7"));
  EXPECT_STREQ(cudaGetErrorName(cudaErrorLaunchFailure), "cudaErrorLaunchFailure");
  EXPECT_EQ(*p, -1) << "what follows is dropped";
  EXPECT_EQ(launch(s, [] {}), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure) << "asking does not clear it";
  void* q = nullptr;
  EXPECT_EQ(cudaMalloc(&q, 4), cudaErrorLaunchFailure);
  // Destroys and frees answer it too, but leave nothing behind.
  EXPECT_EQ(cudaFree(p), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaEventDestroy(e), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaStreamDestroy(s), cudaErrorLaunchFailure);
  EXPECT_TRUE(emulator::live().none());
  emulator::reset();
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST_F(EmulatorRuntime, KernelsMayNotCallTheRuntime) {
  EXPECT_EQ(launch(nullptr, [] { cudaDeviceSynchronize(); }), cudaSuccess);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_THAT(emulator::fault_text(), HasSubstr("cudaDeviceSynchronize called inside a kernel"));
}

TEST_F(EmulatorRuntime, InjectsFaults) {
  void* p = nullptr;
  fail_next("cudaMalloc", cudaErrorMemoryAllocation, 1);
  EXPECT_EQ(cudaMalloc(&p, 4), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&p, 4), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaMalloc(&p, 4), cudaSuccess);
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  fail_next("cudaStreamCreateWithFlags", cudaErrorIllegalAddress);
  cudaStream_t s = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&s, cudaStreamNonBlocking), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorIllegalAddress) << "CUDA keeps this one";
}

TEST_F(EmulatorRuntime, ReportsWhatIsLeft) {
  int* p = device<int>(4);
  int* q = pinned<int>(2);
  const cudaStream_t s = stream();
  const cudaEvent_t e = event(), f = event();
  EXPECT_EQ(launch(s, [] {}), cudaSuccess);
  EXPECT_EQ(
      emulator::live().text(),
      "1 device allocation (16 bytes), 1 pinned host allocation (8 bytes), 1 stream, 2 events, 1 pending operation");
  EXPECT_EQ(cudaFree(p), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(q), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(s), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(e), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(f), cudaSuccess);
  EXPECT_EQ(emulator::live().text(), "nothing");
}

TEST_F(EmulatorRuntime, ReadsTheOrderFromTheEnvironment) {
  setenv("SEQGPU_EMULATOR_STREAMS", "reverse", 1);
  emulator::reset();
  EXPECT_EQ(emulator::stream_order(), StreamOrder::reverse);
  setenv("SEQGPU_EMULATOR_STREAMS", "random", 1);
  emulator::reset();
  EXPECT_EQ(emulator::stream_order(), StreamOrder::random);
  unsetenv("SEQGPU_EMULATOR_STREAMS");
  emulator::reset();
  EXPECT_EQ(emulator::stream_order(), StreamOrder::enqueued);
}

}  // namespace
}  // namespace seqgpu::tests
