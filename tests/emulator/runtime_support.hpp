#pragma once

#include <cuda_runtime_api.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "emulator/control.hpp"
#include "emulator/runtime.hpp"

// What the tests of the emulated runtime share. Their kernels have one thread, which calls a lambda: the execution
// model has tests of its own.

namespace seqgpu::tests {

/// Starts from a fresh runtime, and expects that the test leaves nothing behind.
class RuntimeTest : public testing::Test {
 protected:
  void SetUp() override {
    emulator::reset();
    emulator::set_stream_order(emulator::StreamOrder::enqueued, 1);
    emulator::options().quiet = true;
  }

  void TearDown() override {
    cudaDeviceSynchronize();
    EXPECT_TRUE(emulator::live().none()) << "left: " << emulator::live().text();
    emulator::reset();
    emulator::options().quiet = false;
  }
};

/// Launches one thread that calls `body`.
template <class Body>
cudaError_t launch(cudaStream_t stream, Body body, const char* name = "body") {
  cudaLaunchConfig_t config{};
  config.gridDim = config.blockDim = dim3(1);
  config.stream = stream;
  static const char kernel = 0;  // any address
  return emulator::enqueue_kernel(
      config, &kernel, name, [](const void* args) { (*static_cast<const Body*>(args))(); },
      std::make_shared<const Body>(std::move(body)), sizeof(Body), emulator::Location{__FILE__, __LINE__, 0});
}

/// Launches an empty kernel as `config` says.
inline cudaError_t launch_shape(const cudaLaunchConfig_t& config, const void* kernel) {
  return emulator::enqueue_kernel(
      config, kernel, "empty", [](const void*) {}, std::make_shared<const int>(0), sizeof(int),
      emulator::Location{__FILE__, __LINE__, 0});
}

/// Device memory for `count` objects.
template <class T>
T* device(std::size_t count) {
  void* p = nullptr;
  EXPECT_EQ(cudaMalloc(&p, count * sizeof(T)), cudaSuccess);
  return static_cast<T*>(p);
}

template <class T>
T* pinned(std::size_t count) {
  void* p = nullptr;
  EXPECT_EQ(cudaMallocHost(&p, count * sizeof(T)), cudaSuccess);
  return static_cast<T*>(p);
}

inline cudaStream_t stream(unsigned flags = cudaStreamNonBlocking) {
  cudaStream_t result = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&result, flags), cudaSuccess);
  return result;
}

inline cudaEvent_t event(unsigned flags = cudaEventDisableTiming) {
  cudaEvent_t result = nullptr;
  EXPECT_EQ(cudaEventCreateWithFlags(&result, flags), cudaSuccess);
  return result;
}

}  // namespace seqgpu::tests
