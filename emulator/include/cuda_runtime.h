#pragma once

// Emulated <cuda_runtime.h>: what a plain CUDA C++20 source needs to compile with a C++ compiler and run on the CPU.
// __shared__ is left undefined on purpose: shared memory goes through shared<T>() of kernels/block/cuda.cuh.

#define SEQGPU_EMULATED 1

#include <cstddef>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_runtime_api.h"
#include "emulated/atomic.hpp"
#include "emulated/barrier.hpp"
#include "emulated/core.hpp"
#include "emulated/math.hpp"
#include "emulated/warp.hpp"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __grid_constant__
#define __launch_bounds__(...)
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __forceinline__ inline __attribute__((always_inline))

// Loads and stores with a cache hint.
template <class T>
__forceinline__ T __ldg(const T* p) {
  return *p;
}
template <class T>
__forceinline__ T __ldca(const T* p) {
  return *p;
}
template <class T>
__forceinline__ T __ldcg(const T* p) {
  return *p;
}
template <class T>
__forceinline__ T __ldcs(const T* p) {
  return *p;
}
template <class T>
__forceinline__ void __stcg(T* p, std::type_identity_t<T> value) {
  *p = value;
}
template <class T>
__forceinline__ void __stcs(T* p, std::type_identity_t<T> value) {
  *p = value;
}

namespace emulator {

/// Checks a launch and enqueues it on config.stream (runtime_launch.cpp).
cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, const void* kernel, const char* name, ThreadBody body,
                           std::shared_ptr<const void> args, std::size_t bytes, Location location);

/// Where the next launch was written; set by launch() of kernels/block/cuda.cuh for messages.
inline thread_local Location launch_location;

}  // namespace emulator

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(P...), A&&... args) {
  using Values = std::tuple<std::decay_t<P>...>;
  struct Call {
    void (*kernel)(P...);
    Values values;
  };
  const emulator::ThreadBody body = [](const void* p) {
    const Call& call = *static_cast<const Call*>(p);
    std::apply([&](const auto&... values) { call.kernel(values...); }, call.values);
  };
  return emulator::enqueue_kernel(*config, reinterpret_cast<const void*>(kernel), nullptr, body,
                                  std::make_shared<const Call>(Call{kernel, Values(std::forward<A>(args)...)}),
                                  sizeof(Call), emulator::launch_location);
}

// The typed spellings of functions of <cuda_runtime_api.h>.
template <class T>
cudaError_t cudaMalloc(T** p, std::size_t bytes) {
  return cudaMalloc(reinterpret_cast<void**>(p), bytes);
}
template <class T>
cudaError_t cudaMallocHost(T** p, std::size_t bytes) {
  return cudaMallocHost(reinterpret_cast<void**>(p), bytes);
}
template <class R, class... P>
cudaError_t cudaFuncSetAttribute(R (*kernel)(P...), cudaFuncAttribute attribute, int value) {
  return cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), attribute, value);
}
template <class R, class... P>
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, R (*kernel)(P...)) {
  return cudaFuncGetAttributes(attributes, reinterpret_cast<const void*>(kernel));
}
template <class R, class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, R (*kernel)(P...), int threads,
                                                          std::size_t shared_bytes) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void*>(kernel), threads,
                                                       shared_bytes);
}
template <class R, class... P>
cudaError_t cudaOccupancyMaxActiveClusters(int* clusters, R (*kernel)(P...), const cudaLaunchConfig_t* config) {
  return cudaOccupancyMaxActiveClusters(clusters, reinterpret_cast<const void*>(kernel), config);
}
