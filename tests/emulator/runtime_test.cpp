#include <thread>

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

TEST_F(EmulatorRuntime, FaultsHaveTheirCodes) {
  const auto error_of = [](const char* fault) {
    EXPECT_EQ(launch(nullptr, [fault] { emulator::fail("%s", fault); }), cudaSuccess);
    const cudaError_t error = cudaDeviceSynchronize();
    emulator::reset();
    return error;
  };
  EXPECT_EQ(error_of("read out of bounds of 4 bytes"), cudaErrorIllegalAddress);
  EXPECT_EQ(error_of("write to host memory of 4 bytes"), cudaErrorIllegalAddress);
  EXPECT_EQ(error_of("misaligned access of 8 bytes"), cudaErrorMisalignedAddress);
  EXPECT_EQ(error_of("race"), cudaErrorLaunchFailure);
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
