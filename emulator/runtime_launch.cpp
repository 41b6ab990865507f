#include <algorithm>
#include <string>
#include <unordered_map>

#include "emulator/runtime.hpp"
#include "emulator/stream.hpp"

// Kernel launches: their limits on the pretended device, and the way into a stream.

namespace emulator {
namespace {

constexpr std::size_t kThreadsPerBlock = 1024;
constexpr std::size_t kSharedByDefault = 48 * 1024, kSharedReserved = 1024;
constexpr std::size_t kPortableCluster = 8, kLargestCluster = 16;

struct FunctionState {
  std::size_t shared_bytes = kSharedByDefault;
  int carveout = -1;
  bool large_clusters = false;
};

// By address, for the life of the program, as in CUDA.
FunctionState& function_state(const void* kernel) {
  static std::unordered_map<const void*, FunctionState> states;
  return states[kernel];
}

std::size_t volume(dim3 d) { return std::size_t{d.x} * d.y * d.z; }

std::size_t blocks_per_multiprocessor(std::size_t threads, std::size_t shared_bytes) {
  const DeviceModel& model = device_model();
  if (threads == 0 || threads > kThreadsPerBlock || shared_bytes > model.shared_bytes_per_block) return 0;
  const std::size_t warps = (threads + 31) / 32;
  const std::size_t by_threads = static_cast<std::size_t>(model.threads_per_multiprocessor) / 32 / warps;
  const std::size_t by_shared = model.shared_bytes_per_multiprocessor / (shared_bytes + kSharedReserved);
  return std::min(
      {by_threads, std::max<std::size_t>(by_shared, 1), static_cast<std::size_t>(model.blocks_per_multiprocessor)});
}

std::size_t resident_blocks(const LaunchSpec& spec) {
  return blocks_per_multiprocessor(volume(spec.block), spec.shared_bytes) *
         static_cast<std::size_t>(device_model().multiprocessors);
}

// Reads the attributes; what overlaps launches changes nothing here, as each one runs alone.
cudaError_t read_attributes(const cudaLaunchConfig_t& config, LaunchSpec& spec) {
  if (config.numAttrs != 0 && config.attrs == nullptr) return cudaErrorInvalidValue;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const cudaLaunchAttribute& attribute = config.attrs[i];
    switch (attribute.id) {
      case cudaLaunchAttributeIgnore:
      case cudaLaunchAttributePriority: break;
      case cudaLaunchAttributeCooperative: spec.cooperative = attribute.val.cooperative != 0; break;
      case cudaLaunchAttributeClusterDimension:
        spec.cluster = dim3(attribute.val.clusterDim.x, attribute.val.clusterDim.y, attribute.val.clusterDim.z);
        if (!device_model().has_clusters()) return cudaErrorNotSupported;
        break;
      case cudaLaunchAttributeProgrammaticStreamSerialization:
        if (device_model().major < 9 && attribute.val.programmaticStreamSerializationAllowed != 0)
          return cudaErrorNotSupported;
        break;
      default: return cudaErrorInvalidValue;
    }
  }
  return cudaSuccess;
}

cudaError_t check_cluster(const LaunchSpec& spec, const FunctionState& function) {
  const std::size_t size = volume(spec.cluster);
  if (size == 0 || size > (function.large_clusters ? kLargestCluster : kPortableCluster))
    return cudaErrorInvalidClusterSize;
  if (spec.grid.x % spec.cluster.x != 0 || spec.grid.y % spec.cluster.y != 0 || spec.grid.z % spec.cluster.z != 0)
    return cudaErrorInvalidConfiguration;
  return size > resident_blocks(spec) ? cudaErrorLaunchOutOfResources : cudaSuccess;
}

cudaError_t check_launch(const LaunchSpec& spec, const FunctionState& function) {
  const dim3 &grid = spec.grid, &block = spec.block;
  if (volume(grid) == 0 || grid.x > 0x7FFFFFFFu || grid.y > 65535 || grid.z > 65535)
    return cudaErrorInvalidConfiguration;
  if (volume(block) == 0 || block.x > kThreadsPerBlock || block.y > kThreadsPerBlock || block.z > 64)
    return cudaErrorInvalidConfiguration;
  if (volume(block) > kThreadsPerBlock) return cudaErrorInvalidConfiguration;
  if (spec.shared_bytes > function.shared_bytes) return cudaErrorInvalidValue;
  if (spec.shared_bytes > device_model().shared_bytes_per_block) return cudaErrorInvalidValue;
  if (const cudaError_t error = check_cluster(spec, function)) return error;
  if (spec.cooperative && volume(grid) > resident_blocks(spec)) return cudaErrorCooperativeLaunchTooLarge;
  return cudaSuccess;
}

// The code that CUDA has for a fault, told by the emulator's words for it.
cudaError_t error_of(const std::string& fault) {
  const auto says = [&fault](const char* words) { return fault.find(words) != std::string::npos; };
  if (says("out of bounds") || says("host memory")) return cudaErrorIllegalAddress;
  return says("misaligned access") ? cudaErrorMisalignedAddress : cudaErrorLaunchFailure;
}

}  // namespace

cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, const void* kernel, const char* name, ThreadBody body,
                           std::shared_ptr<const void> args, std::size_t bytes, Location location) {
  return api("cudaLaunchKernelEx", [&] {
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    LaunchSpec spec;
    spec.grid = config.gridDim;
    spec.block = config.blockDim;
    spec.shared_bytes = config.dynamicSmemBytes;
    spec.name = name;
    spec.location = location;
    if (const cudaError_t error = read_attributes(config, spec)) return error;
    if (const cudaError_t error = check_launch(spec, function_state(kernel))) return error;
    const auto run = [spec, body, args = std::move(args), bytes] {
      if (run_grid(spec, body, args.get(), bytes)) return cudaSuccess;
      set_fault_text(last_error());
      return error_of(last_error());
    };
    return enqueue(config.stream, cudaGraphNodeTypeKernel, name != nullptr ? name : "kernel", run);
  });
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaFuncSetAttribute(const void* func, cudaFuncAttribute attr, int value) {
  return api("cudaFuncSetAttribute", [&] {
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    FunctionState& function = function_state(func);
    switch (attr) {
      case cudaFuncAttributeMaxDynamicSharedMemorySize:
        if (value < 0 || static_cast<std::size_t>(value) > device_model().shared_bytes_per_block)
          return cudaErrorInvalidValue;
        function.shared_bytes = static_cast<std::size_t>(value);
        return cudaSuccess;
      case cudaFuncAttributePreferredSharedMemoryCarveout:
        if (value < -1 || value > 100) return cudaErrorInvalidValue;
        function.carveout = value;
        return cudaSuccess;
      case cudaFuncAttributeNonPortableClusterSizeAllowed:
        if (!device_model().has_clusters()) return cudaErrorNotSupported;
        function.large_clusters = value != 0;
        return cudaSuccess;
    }
    return cudaErrorInvalidValue;
  });
}

// Registers and static shared memory are the compiler's: the emulator knows neither, and says 32 and 0.
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attr, const void* func) {
  return api("cudaFuncGetAttributes", [&] {
    if (attr == nullptr) return cudaErrorInvalidValue;
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    const FunctionState& function = function_state(func);
    const int version = 10 * device_model().major + device_model().minor;
    *attr = {};
    attr->maxThreadsPerBlock = static_cast<int>(kThreadsPerBlock);
    attr->numRegs = 32;
    attr->ptxVersion = attr->binaryVersion = version;
    attr->maxDynamicSharedSizeBytes = static_cast<int>(function.shared_bytes);
    attr->preferredShmemCarveout = function.carveout;
    attr->nonPortableClusterSizeAllowed = function.large_clusters ? 1 : 0;
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* numBlocks, const void* func, int blockSize,
                                                          std::size_t dynamicSMemSize) {
  return api("cudaOccupancyMaxActiveBlocksPerMultiprocessor", [&] {
    if (numBlocks == nullptr || blockSize <= 0) return cudaErrorInvalidValue;
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    const bool allowed = dynamicSMemSize <= function_state(func).shared_bytes;
    const auto threads = static_cast<std::size_t>(blockSize);
    *numBlocks = allowed ? static_cast<int>(blocks_per_multiprocessor(threads, dynamicSMemSize)) : 0;
    return cudaSuccess;
  });
}

// As if the multiprocessors formed one group, within which a cluster may lie anywhere.
cudaError_t cudaOccupancyMaxActiveClusters(int* numClusters, const void* func, const cudaLaunchConfig_t* config) {
  return api("cudaOccupancyMaxActiveClusters", [&] {
    if (numClusters == nullptr || config == nullptr) return cudaErrorInvalidValue;
    if (func == nullptr) return cudaErrorInvalidDeviceFunction;
    const FunctionState& function = function_state(func);
    LaunchSpec spec;
    spec.grid = config->gridDim;
    spec.block = config->blockDim;
    spec.shared_bytes = config->dynamicSmemBytes;
    if (const cudaError_t error = read_attributes(*config, spec)) return error;
    const std::size_t size = volume(spec.cluster);
    if (size == 0 || size > (function.large_clusters ? kLargestCluster : kPortableCluster))
      return cudaErrorInvalidClusterSize;
    const bool allowed = spec.shared_bytes <= function.shared_bytes;
    *numClusters = allowed ? static_cast<int>(resident_blocks(spec) / size) : 0;
    return cudaSuccess;
  });
}
