#include <cstdint>

#include "emulator/runtime_support.hpp"

namespace seqgpu::tests {
namespace {

using EmulatorRuntime = RuntimeTest;
using emulator::device_model;

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

}  // namespace
}  // namespace seqgpu::tests
