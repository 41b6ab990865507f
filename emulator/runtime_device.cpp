#include <algorithm>
#include <cstring>
#include <limits>

#include "emulator/runtime.hpp"

// The device that the runtime pretends to have.

namespace emulator {
namespace {

constexpr int kVersion = CUDART_VERSION;
constexpr int kThreadsPerBlock = 1024, kRegisters = 65536;
constexpr std::size_t kSharedByDefault = 48 * 1024, kSharedReserved = 1024;

thread_local int current_device = 0;

cudaError_t check_device(int device) {
  return device >= 0 && device < device_model().count ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t attribute(int& value, cudaDeviceAttr attr) {
  const DeviceModel& model = device_model();
  switch (attr) {
    case cudaDevAttrMaxThreadsPerBlock:
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: value = kThreadsPerBlock; break;
    case cudaDevAttrMaxBlockDimZ: value = 64; break;
    case cudaDevAttrMaxGridDimX: value = std::numeric_limits<int>::max(); break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: value = 65535; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: value = int(kSharedByDefault); break;
    case cudaDevAttrWarpSize: value = 32; break;
    case cudaDevAttrMaxRegistersPerBlock:
    case cudaDevAttrMaxRegistersPerMultiprocessor: value = kRegisters; break;
    case cudaDevAttrMultiProcessorCount: value = model.multiprocessors; break;
    case cudaDevAttrL2CacheSize: value = model.l2_bytes; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: value = model.threads_per_multiprocessor; break;
    case cudaDevAttrComputeCapabilityMajor: value = model.major; break;
    case cudaDevAttrComputeCapabilityMinor: value = model.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: value = int(model.shared_bytes_per_multiprocessor); break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: value = int(model.shared_bytes_per_block); break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: value = model.blocks_per_multiprocessor; break;
    case cudaDevAttrReservedSharedMemoryPerBlock: value = int(kSharedReserved); break;
    case cudaDevAttrClusterLaunch: value = model.has_clusters() ? 1 : 0; break;
    case cudaDevAttrConcurrentKernels:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrStreamPrioritiesSupported:
    case cudaDevAttrCooperativeLaunch: value = 1; break;
    case cudaDevAttrManagedMemory:
    case cudaDevAttrMemoryPoolsSupported: value = 0; break;
    default: return cudaErrorInvalidValue;
  }
  return cudaSuccess;
}

cudaDeviceProp properties() {
  const DeviceModel& model = device_model();
  cudaDeviceProp p{};
  std::strncpy(p.name, model.name.c_str(), sizeof p.name - 1);
  p.totalGlobalMem = model.memory_bytes;
  p.sharedMemPerBlock = kSharedByDefault;
  p.regsPerBlock = p.regsPerMultiprocessor = kRegisters;
  p.warpSize = 32;
  p.maxThreadsPerBlock = kThreadsPerBlock;
  p.maxThreadsDim[0] = p.maxThreadsDim[1] = kThreadsPerBlock;
  p.maxThreadsDim[2] = 64;
  p.maxGridSize[0] = std::numeric_limits<int>::max();
  p.maxGridSize[1] = p.maxGridSize[2] = 65535;
  p.major = model.major;
  p.minor = model.minor;
  p.multiProcessorCount = model.multiprocessors;
  p.concurrentKernels = p.unifiedAddressing = p.streamPrioritiesSupported = p.cooperativeLaunch = 1;
  p.l2CacheSize = model.l2_bytes;
  p.maxThreadsPerMultiProcessor = model.threads_per_multiprocessor;
  p.sharedMemPerMultiprocessor = model.shared_bytes_per_multiprocessor;
  p.sharedMemPerBlockOptin = model.shared_bytes_per_block;
  p.maxBlocksPerMultiProcessor = model.blocks_per_multiprocessor;
  p.reservedSharedMemPerBlock = kSharedReserved;
  p.clusterLaunch = model.has_clusters() ? 1 : 0;
  return p;
}

// Limits by compute capability, from the programming guide's table.
struct Limits {
  int capability;  // 10*major + minor, the first that has them
  int shared_kib, threads, blocks;
};
constexpr Limits kLimits[] = {
    {70, 96, 2048, 32},  {75, 64, 1024, 16},  {80, 164, 2048, 32}, {86, 100, 1536, 16},
    {87, 164, 1536, 16}, {89, 100, 1536, 24}, {90, 228, 2048, 32}, {120, 100, 1536, 24},
};

}  // namespace

DeviceModel& device_model() {
  static DeviceModel model;
  return model;
}

void set_compute_capability(int major, int minor) {
  const int capability = 10 * major + minor;
  Limits limits = kLimits[0];
  for (const Limits& row : kLimits)
    if (row.capability <= capability) limits = row;
  // Up to 7.5 a block may have all of it; later the system keeps 1 KiB.
  const int kept = capability < 80 ? 0 : 1;
  DeviceModel& model = device_model();
  model.major = major;
  model.minor = minor;
  model.shared_bytes_per_multiprocessor = std::size_t(limits.shared_kib) * 1024;
  model.shared_bytes_per_block = std::size_t(limits.shared_kib - kept) * 1024;
  model.threads_per_multiprocessor = limits.threads;
  model.blocks_per_multiprocessor = limits.blocks;
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaDriverGetVersion(int* driverVersion) {
  return api("cudaDriverGetVersion", Needs::nothing, [&] {
    if (driverVersion == nullptr) return cudaErrorInvalidValue;
    *driverVersion = device_model().driver ? kVersion : 0;
    return cudaSuccess;
  });
}

cudaError_t cudaRuntimeGetVersion(int* runtimeVersion) {
  return api("cudaRuntimeGetVersion", Needs::nothing, [&] {
    if (runtimeVersion == nullptr) return cudaErrorInvalidValue;
    *runtimeVersion = kVersion;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceCount(int* count) {
  if (count != nullptr) *count = 0;
  return api("cudaGetDeviceCount", [&] {
    if (count == nullptr) return cudaErrorInvalidValue;
    *count = device_model().count;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return api("cudaSetDevice", [&] {
    if (const cudaError_t error = check_device(device)) return error;
    current_device = device;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return api("cudaGetDevice", [&] {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = current_device;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* prop, int device) {
  return api("cudaGetDeviceProperties", [&] {
    if (prop == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t error = check_device(device)) return error;
    *prop = properties();
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attr, int device) {
  return api("cudaDeviceGetAttribute", [&] {
    if (value == nullptr) return cudaErrorInvalidValue;
    if (const cudaError_t error = check_device(device)) return error;
    return attribute(*value, attr);
  });
}

cudaError_t cudaDeviceGetStreamPriorityRange(int* leastPriority, int* greatestPriority) {
  return api("cudaDeviceGetStreamPriorityRange", [&] {
    if (leastPriority != nullptr) *leastPriority = 0;
    if (greatestPriority != nullptr) *greatestPriority = -5;
    return cudaSuccess;
  });
}
