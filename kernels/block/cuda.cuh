#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <string>
#include <type_traits>

#include "kernels/block/error.hpp"

// What CUDA sources need to compile with nvcc and, against emulator/include, with a C++ compiler: launches, shared
// memory, errors. This file and ptx.cuh are the only ones that ask which of the two it is. Not used, because a C++
// compiler has no such thing: <<<>>>, __shared__, CUB, waiting on a volatile read (see load_acquire in ptx.cuh).

namespace seqgpu::kernels {

/// The line of code that calls: the emulator names it in its reports, nvcc drops it.
#if defined(SEQGPU_EMULATED)
using Place = emulator::Where;
#else
struct Place {
  __host__ __device__ static constexpr Place current() { return {}; }
};
#endif

/// @throws CudaError naming `what` unless the call succeeded
inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw CudaError(code, std::string(what) + ": " + cudaGetErrorName(code) + ": " + cudaGetErrorString(code));
}

/// How a kernel is started. Shared bytes above 48 KiB are opted into here.
struct LaunchShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic
  cudaStream_t stream = nullptr;
  bool cooperative = false;  // all blocks run at once and may use grid_sync()
  unsigned cluster = 1;      // blocks of a cluster, along x
  Place place = Place::current();
};

/// Starts kernel(args...) on shape.stream. Above 8 blocks a cluster is of a non-portable size, and allowed here.
/// @throws CudaError; errors of the kernel itself come from a later synchronisation
template <class... P, class... A>
void launch(void (*kernel)(P...), const LaunchShape& shape, const A&... args) {
  cudaLaunchAttribute attributes[2] = {};
  cudaLaunchConfig_t config = {};
  config.gridDim = shape.grid;
  config.blockDim = shape.block;
  config.dynamicSmemBytes = shape.shared_bytes;
  config.stream = shape.stream;
  config.attrs = attributes;
  if (shape.cooperative) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeCooperative;
    attribute.val.cooperative = 1;
  }
  if (shape.cluster > 1) {
    cudaLaunchAttribute& attribute = attributes[config.numAttrs++];
    attribute.id = cudaLaunchAttributeClusterDimension;
    attribute.val.clusterDim.x = shape.cluster;
    attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
  }
  constexpr std::size_t kSharedWithoutOptIn = 48 * 1024;
  constexpr unsigned kPortableCluster = 8;
  if (shape.shared_bytes > kSharedWithoutOptIn)
    check(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
        "cudaFuncSetAttribute");
  if (shape.cluster > kPortableCluster)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1), "cudaFuncSetAttribute");
#if defined(SEQGPU_EMULATED)
  emulator::launch_location = emulator::here(shape.place);
#endif
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(args)...), "cudaLaunchKernelEx");
}

/// An object in shared memory, uninitialised, one for each block of the launch. Within a kernel the same T and Tag mean
/// the same object, so two of one type need a Tag each.
template <class T, class Tag = void>
__device__ __forceinline__ T& shared() {
  static_assert(std::is_trivially_default_constructible_v<T>, "nobody would run the constructor");
#if defined(SEQGPU_EMULATED)
  static emulator::SharedSlot slot;
  return *static_cast<T*>(emulator::shared_static(slot, sizeof(T), alignof(T) < 16 ? 16 : alignof(T)));
#else
  __shared__ T object;
  return object;
#endif
}

/// The launch's dynamic shared memory (LaunchShape::shared_bytes), 128-byte aligned.
template <class T>
__device__ __forceinline__ T* dynamic_shared() {
#if defined(SEQGPU_EMULATED)
  return static_cast<T*>(emulator::shared_dynamic());
#else
  extern __shared__ __align__(128) unsigned char seqgpu_dynamic_shared[];
  return reinterpret_cast<T*>(seqgpu_dynamic_shared);
#endif
}

}  // namespace seqgpu::kernels
