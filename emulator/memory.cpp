#include "emulator/memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string_view>

#include "emulator/graph.hpp"
#include "emulator/runtime.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulator {
namespace {

constexpr std::size_t kQuarantineBytes = std::size_t{16} << 20;
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kAddressSanitizer = true;
#else
constexpr bool kAddressSanitizer = false;
#endif

using Ranges = std::map<const char*, std::size_t>;  // start -> bytes

struct Memory {
  Ranges device, pinned;
  // Freed device memory, kept from reuse for a while so that a stale pointer is known as such. The other builds do so
  // themselves: check mode never hands memory out again, AddressSanitizer has a quarantine.
  Ranges released;
  std::deque<const char*> quarantine;
  std::size_t quarantine_bytes = 0;
  std::size_t device_bytes = 0, pinned_bytes = 0, peak = 0;
};

Memory& memory() {
  static auto& instance = *new Memory;  // outlives static devices
  return instance;
}

// The range that holds p.
Ranges::const_iterator find(const Ranges& ranges, const void* p) {
  auto next = ranges.upper_bound(static_cast<const char*>(p));
  if (next == ranges.begin()) return ranges.end();
  const auto range = std::prev(next);
  return static_cast<const char*>(p) < range->first + std::max<std::size_t>(range->second, 1) ? range : ranges.end();
}

cudaError_t allocate_pinned(void** handle, std::size_t bytes) {
  if (handle == nullptr) return cudaErrorInvalidValue;
  *handle = nullptr;
  if (const cudaError_t error = refuse_unsafe()) return error;
  if (bytes == 0) return cudaSuccess;
  void* p = nullptr;
  if (posix_memalign(&p, 256, bytes) != 0) return cudaErrorMemoryAllocation;
  std::memset(p, 0xFF, bytes);  // fresh memory holds no zeros that a test could rely on
  memory().pinned[static_cast<char*>(p)] = bytes;
  memory().pinned_bytes += bytes;
  *handle = p;
  return cudaSuccess;
}

void leave_quarantine() {
  const char* oldest = memory().quarantine.front();
  memory().quarantine.pop_front();
  memory().quarantine_bytes -= memory().released[oldest];
  memory().released.erase(oldest);
  dev_free(const_cast<char*>(oldest));
}

void release_device(Ranges::const_iterator range) {
  const auto [start, bytes] = *range;
  memory().device_bytes -= bytes;
  memory().device.erase(range);
  char* const p = const_cast<char*>(start);
  if (std::string_view(mode()) == "fast") {
    std::memset(p, 0xFF, bytes);
    memory().quarantine.push_back(start);
    memory().quarantine_bytes += bytes;
    memory().released[start] = bytes;
    while (memory().quarantine_bytes > kQuarantineBytes) leave_quarantine();
  } else {
    dev_free(p);
    if (!kAddressSanitizer) memory().released[start] = bytes;
  }
}

bool is_released(const void* p) {
#if defined(__SANITIZE_ADDRESS__)
  return __asan_address_is_poisoned(p) != 0;
#else
  return find(memory().released, p) != memory().released.end();
#endif
}

void release_pinned(Ranges::const_iterator range) {
  memory().pinned_bytes -= range->second;
  std::free(const_cast<char*>(range->first));
  memory().pinned.erase(range);
}

}  // namespace

Place place_of(const void* p) {
  if (find(memory().device, p) != memory().device.end()) return Place::device;
  if (find(memory().pinned, p) != memory().pinned.end()) return Place::pinned;
  return is_released(p) ? Place::released : Place::pageable;
}

bool device_range(const void* p, std::size_t bytes) {
  const auto range = find(memory().device, p);
  if (range == memory().device.end()) return false;
  const auto offset = static_cast<std::size_t>(static_cast<const char*>(p) - range->first);
  return bytes <= range->second - offset;
}

void count_memory(Live& result) {
  result.device_allocations = memory().device.size();
  result.device_bytes = memory().device_bytes;
  result.host_allocations = memory().pinned.size();
  result.host_bytes = memory().pinned_bytes;
}

void reset_memory() {
  while (!memory().device.empty()) release_device(memory().device.begin());
  while (!memory().pinned.empty()) release_pinned(memory().pinned.begin());
  reset_peak();
}

std::size_t peak_device_bytes() {
  const std::lock_guard lock(runtime_mutex());
  return memory().peak;
}

void reset_peak() {
  const std::lock_guard lock(runtime_mutex());
  memory().peak = memory().device_bytes;
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return api("cudaMemGetInfo", [&] {
    const std::size_t limit = device_model().memory_bytes;
    if (free != nullptr) *free = limit - std::min(limit, memory().device_bytes);
    if (total != nullptr) *total = limit;
    return cudaSuccess;
  });
}

cudaError_t cudaMalloc(void** devPtr, std::size_t size) {
  return api("cudaMalloc", [&] {
    if (devPtr == nullptr) return cudaErrorInvalidValue;
    *devPtr = nullptr;
    if (const cudaError_t error = refuse_unsafe()) return error;
    if (size == 0) return cudaSuccess;
    const std::size_t limit = device_model().memory_bytes;
    if (size > limit - std::min(limit, memory().device_bytes)) return cudaErrorMemoryAllocation;
    void* p = dev_alloc(size);
    if (p == nullptr) return cudaErrorMemoryAllocation;
    memory().device[static_cast<char*>(p)] = size;
    memory().device_bytes += size;
    memory().peak = std::max(memory().peak, memory().device_bytes);
    *devPtr = p;
    return cudaSuccess;
  });
}

// Waits for the device, as CUDA does.
cudaError_t cudaFree(void* devPtr) {
  return api("cudaFree", Needs::device, [&] {
    if (const cudaError_t error = refuse_unsafe()) return error;
    if (devPtr == nullptr) return cudaSuccess;
    const auto range = memory().device.find(static_cast<char*>(devPtr));
    if (range == memory().device.end()) return cudaErrorInvalidValue;
    run_all();
    release_device(range);
    return cudaSuccess;
  });
}

cudaError_t cudaMallocHost(void** ptr, std::size_t size) {
  return api("cudaMallocHost", [&] { return allocate_pinned(ptr, size); });
}

cudaError_t cudaHostAlloc(void** pHost, std::size_t size, unsigned int flags) {
  return api("cudaHostAlloc", [&] {
    constexpr unsigned kKnown = cudaHostAllocPortable | cudaHostAllocMapped | cudaHostAllocWriteCombined;
    return (flags & ~kKnown) != 0 ? cudaErrorInvalidValue : allocate_pinned(pHost, size);
  });
}

cudaError_t cudaFreeHost(void* ptr) {
  return api("cudaFreeHost", Needs::device, [&] {
    if (const cudaError_t error = refuse_unsafe()) return error;
    if (ptr == nullptr) return cudaSuccess;
    const auto range = memory().pinned.find(static_cast<char*>(ptr));
    if (range == memory().pinned.end()) return cudaErrorInvalidValue;
    run_all();
    release_pinned(range);
    return cudaSuccess;
  });
}

cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* ptr) {
  return api("cudaPointerGetAttributes", [&] {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    const Place place = place_of(ptr);
    void* const p = const_cast<void*>(ptr);
    *attributes = {cudaMemoryTypeUnregistered, -2, nullptr, p};  // -2: cudaInvalidDeviceId
    if (place == Place::device) *attributes = {cudaMemoryTypeDevice, 0, p, nullptr};
    if (place == Place::pinned) *attributes = {cudaMemoryTypeHost, 0, p, p};
    return cudaSuccess;
  });
}
