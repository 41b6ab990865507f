#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <mutex>
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

/// A LaunchShape in CUDA's words.
class LaunchConfig {
 public:
  explicit LaunchConfig(const LaunchShape& shape) {
    config_.gridDim = shape.grid;
    config_.blockDim = shape.block;
    config_.dynamicSmemBytes = shape.shared_bytes;
    config_.stream = shape.stream;
    config_.attrs = attributes_;
    if (shape.cooperative) {
      cudaLaunchAttribute& attribute = attributes_[config_.numAttrs++];
      attribute.id = cudaLaunchAttributeCooperative;
      attribute.val.cooperative = 1;
    }
    if (shape.cluster > 1) {
      cudaLaunchAttribute& attribute = attributes_[config_.numAttrs++];
      attribute.id = cudaLaunchAttributeClusterDimension;
      attribute.val.clusterDim.x = shape.cluster;
      attribute.val.clusterDim.y = attribute.val.clusterDim.z = 1;
    }
  }
  LaunchConfig(const LaunchConfig&) = delete;
  LaunchConfig& operator=(const LaunchConfig&) = delete;
  const cudaLaunchConfig_t* get() const { return &config_; }

 private:
  cudaLaunchAttribute attributes_[2] = {};
  cudaLaunchConfig_t config_ = {};
};

/// Opts into shared bytes above 48 KiB and into clusters above 8 blocks, whose size is not portable. What a kernel has
/// opted into is the process's: held until the call that needs it was made, or another thread asks for less meanwhile.
template <class... P>
[[nodiscard]] std::unique_lock<std::mutex> opt_in(void (*kernel)(P...), const LaunchShape& shape) {
  static std::mutex mutex;  // of this kernel's type
  constexpr std::size_t kSharedWithoutOptIn = 48 * 1024;
  constexpr unsigned kPortableCluster = 8;
  std::unique_lock<std::mutex> lock(mutex, std::defer_lock);
  if (shape.shared_bytes > kSharedWithoutOptIn) {
    lock.lock();
    check(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
        "cudaFuncSetAttribute");
  }
  if (shape.cluster > kPortableCluster)
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1), "cudaFuncSetAttribute");
  return lock;
}

/// Starts kernel(args...) on shape.stream.
/// @throws CudaError; errors of the kernel itself come from a later synchronisation
template <class... P, class... A>
void launch(void (*kernel)(P...), const LaunchShape& shape, const A&... args) {
  const LaunchConfig config(shape);
  const auto opted_in = opt_in(kernel, shape);
#if defined(SEQGPU_EMULATED)
  emulator::launch_location = emulator::here(shape.place);
#endif
  check(cudaLaunchKernelEx(config.get(), kernel, static_cast<P>(args)...), "cudaLaunchKernelEx");
}

/// How many blocks of this launch a multiprocessor of the current device runs at once.
template <class... P>
int blocks_per_multiprocessor(void (*kernel)(P...), const LaunchShape& shape) {
  const auto opted_in = opt_in(kernel, shape);
  const auto threads = static_cast<int>(shape.block.x * shape.block.y * shape.block.z);
  int blocks = 0;
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, kernel, threads, shape.shared_bytes),
        "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return blocks;
}

/// How many clusters of this launch the current device runs at once.
template <class... P>
int clusters_at_once(void (*kernel)(P...), const LaunchShape& shape) {
  const LaunchConfig config(shape);
  const auto opted_in = opt_in(kernel, shape);
  int clusters = 0;
  check(cudaOccupancyMaxActiveClusters(&clusters, kernel, config.get()), "cudaOccupancyMaxActiveClusters");
  return clusters;
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
