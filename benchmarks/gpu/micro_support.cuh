#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <functional>

#include "cuda_timer.hpp"
#include "support.hpp"

// What the micro-measurements share: launches, one result a record, PTX, and waits that give up.
namespace seqgpu::benchmark {

struct LaunchShape {
  unsigned blocks = 1, threads = 32, cluster = 1;
  std::size_t shared_bytes = 0;
  bool cooperative = false;
};

inline cudaLaunchConfig_t launch_config(const LaunchShape& shape, cudaLaunchAttribute (&attributes)[2]) {
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(shape.blocks);
  config.blockDim = dim3(shape.threads);
  config.dynamicSmemBytes = shape.shared_bytes;
  config.attrs = attributes;
  if (shape.cluster > 1) {
    cudaLaunchAttribute& a = attributes[config.numAttrs++];
    a.id = cudaLaunchAttributeClusterDimension;
    a.val.clusterDim.x = shape.cluster;
    a.val.clusterDim.y = a.val.clusterDim.z = 1;
  }
  if (shape.cooperative) {
    cudaLaunchAttribute& a = attributes[config.numAttrs++];
    a.id = cudaLaunchAttributeCooperative;
    a.val.cooperative = 1;
  }
  return config;
}

/// Lets a kernel have this much shared memory and clusters of 16.
template <class... P>
void allow(void (*kernel)(P...), const LaunchShape& shape) {
  check(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shape.shared_bytes)),
        "cudaFuncAttributeMaxDynamicSharedMemorySize");
  if (shape.cluster > 8) {
    check(cudaFuncSetAttribute(kernel, cudaFuncAttributeNonPortableClusterSizeAllowed, 1),
          "cudaFuncAttributeNonPortableClusterSizeAllowed");
  }
}

template <class... P, class... A>
void launch(void (*kernel)(P...), const LaunchShape& shape, A... arguments) {
  allow(kernel, shape);
  cudaLaunchAttribute attributes[2];
  const cudaLaunchConfig_t config = launch_config(shape, attributes);
  check(cudaLaunchKernelEx(&config, kernel, static_cast<P>(arguments)...), "cudaLaunchKernelEx");
}

/// Where a kernel leaves its cycles; a negative number says that a wait gave up.
class Cycles {
 public:
  Cycles() : memory_(sizeof(long long)) {}
  long long* device() const { return memory_.data<long long>(); }
  /// @throws std::runtime_error if a wait gave up, or the kernel failed
  double read() const {
    check(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    long long value = 0;
    check(cudaMemcpy(&value, device(), sizeof value, cudaMemcpyDeviceToHost), "cudaMemcpy");
    if (value < 0) throw std::runtime_error("a wait gave up");
    return static_cast<double>(value);
  }

 private:
  DeviceMemory memory_;
};

/// Writes records and carries on where one measurement fails.
class Report {
 public:
  Report(Records& records, int capability) : records_(records), capability_(capability) {}
  int capability() const { return capability_; }

  /// Runs `measurement` five times; records median and min. @param parameters  e.g. {"cluster", 8}
  void measure(const char* id, const char* name, const Json& parameters, const char* unit,
               const std::function<double()>& measurement) {
    Json record{{"kind", "micro"}, {"id", id}, {"name", name}, {"parameters", parameters}, {"unit", unit}};
    try {
      std::vector<double> values;
      measurement();
      for (int i = 0; i < 5; ++i) values.push_back(measurement());
      record["median"] = median(values);
      record["min"] = *std::min_element(values.begin(), values.end());
    } catch (const std::exception& error) {
      record["failed"] = error.what();
    }
    records_.write(record);
    const cudaError_t sticky = cudaDeviceSynchronize();
    if (sticky != cudaSuccess) throw std::runtime_error(std::string("the GPU is lost: ") + cudaGetErrorName(sticky));
  }

 private:
  Records& records_;
  int capability_;
};

/// Lets a wait give up after some seconds, so that a broken exchange is a failed measurement and not a hang. The clock
/// is read every 16th poll only: a poll of a transaction barrier may itself sleep for milliseconds.
class Patience {
 public:
  __device__ __forceinline__ bool lost() {
    if ((++polls_ & 15) != 0) return false;
    if (since_ == 0) since_ = clock64();
    return clock64() - since_ > 4'000'000'000ll;
  }

 private:
  unsigned polls_ = 0;
  long long since_ = 0;
};

__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}

// Clusters, their shared memory and transaction barriers: compute capability 9.0.
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900

__device__ __forceinline__ std::uint32_t cluster_rank() {
  std::uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ std::uint32_t cluster_size() {
  std::uint32_t size;
  asm volatile("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
}
/// The address in another block of the cluster that corresponds to ours.
__device__ __forceinline__ std::uint32_t in_block(std::uint32_t address, std::uint32_t rank) {
  std::uint32_t mapped;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(mapped) : "r"(address), "r"(rank));
  return mapped;
}
__device__ __forceinline__ void cluster_barrier() {
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
__device__ __forceinline__ void cluster_barrier_relaxed() {
  asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
}

__device__ __forceinline__ void barrier_init(std::uint32_t barrier, std::uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\nfence.mbarrier_init.release.cluster;" ::"r"(barrier),
               "r"(arrivals)
               : "memory");
}
__device__ __forceinline__ void barrier_expect(std::uint32_t barrier, std::uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes) : "memory");
}
__device__ __forceinline__ void barrier_arrive_remote(std::uint32_t barrier) {
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(barrier) : "memory");
}
__device__ __forceinline__ bool barrier_passed(std::uint32_t barrier, std::uint32_t parity) {
  std::uint32_t passed;
  asm volatile(
      "{\n.reg .pred p;\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n}"
      : "=r"(passed)
      : "r"(barrier), "r"(parity)
      : "memory");
  return passed != 0;
}
/// False if it gave up.
__device__ __forceinline__ bool barrier_wait(std::uint32_t barrier, std::uint32_t parity) {
  Patience patience;
  while (!barrier_passed(barrier, parity)) {
    if (patience.lost()) return false;
  }
  return true;
}

/// st.async of 4, 8 or 16 bytes into another block's shared memory; `barrier` there counts the bytes.
template <int kBytes>
__device__ __forceinline__ void push(std::uint32_t to, std::uint32_t barrier, std::uint32_t value) {
  if constexpr (kBytes == 4) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%0], %1, [%2];" ::"r"(to), "r"(value),
                 "r"(barrier)
                 : "memory");
  } else if constexpr (kBytes == 8) {
    asm volatile("st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v2.b32 [%0], {%1, %1}, [%2];" ::"r"(to),
                 "r"(value), "r"(barrier)
                 : "memory");
  } else {
    asm volatile(
        "st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.v4.b32 [%0], {%1, %1, %1, %1}, [%2];" ::"r"(to),
        "r"(value), "r"(barrier)
        : "memory");
  }
}
/// cp.async.bulk from our shared memory into another block's.
__device__ __forceinline__ void push_bulk(std::uint32_t to, std::uint32_t from, std::uint32_t bytes,
                                          std::uint32_t barrier) {
  asm volatile("cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(to),
               "r"(from), "r"(bytes), "r"(barrier)
               : "memory");
}

#endif

// Between blocks through L2.
__device__ __forceinline__ void add_release(unsigned* at, unsigned value) {
  asm volatile("red.release.gpu.global.add.u32 [%0], %1;" ::"l"(at), "r"(value) : "memory");
}
__device__ __forceinline__ unsigned load_acquire(const unsigned* at) {
  unsigned value;
  asm volatile("ld.acquire.gpu.global.u32 %0, [%1];" : "=r"(value) : "l"(at) : "memory");
  return value;
}
__device__ __forceinline__ void store_relaxed(uint4* at, uint4 v) {
  asm volatile("st.relaxed.gpu.global.v4.u32 [%0], {%1, %2, %3, %4};" ::"l"(at), "r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w)
               : "memory");
}
__device__ __forceinline__ uint4 load_relaxed(const uint4* at) {
  uint4 v;
  asm volatile("ld.relaxed.gpu.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "l"(at)
               : "memory");
  return v;
}

}  // namespace seqgpu::benchmark
