#include <cstring>
#include <memory>
#include <vector>

#include "emulator/graph.hpp"
#include "emulator/memory.hpp"
#include "emulator/runtime.hpp"

// Copies and fills.

namespace emulator {
namespace {

struct Copy {
  void* to;
  const void* from;
  std::size_t bytes;
  cudaMemcpyKind kind;
};

bool is_device(Place place) { return place == Place::device; }
bool is_host(Place place) { return place == Place::pinned || place == Place::pageable; }

// Settles cudaMemcpyDefault; an error where an end is not what the kind says, or is too small.
cudaError_t check(Copy& copy) {
  const Place to = place_of(copy.to), from = place_of(copy.from);
  if (copy.kind == cudaMemcpyDefault) {
    const int direction = (is_device(from) ? 2 : 0) + (is_device(to) ? 1 : 0);
    copy.kind = static_cast<cudaMemcpyKind>(direction);
  }
  const bool to_device = copy.kind == cudaMemcpyHostToDevice || copy.kind == cudaMemcpyDeviceToDevice;
  const bool from_device = copy.kind == cudaMemcpyDeviceToHost || copy.kind == cudaMemcpyDeviceToDevice;
  if (copy.kind < cudaMemcpyHostToHost || copy.kind > cudaMemcpyDefault) return cudaErrorInvalidMemcpyDirection;
  if (copy.to == nullptr || copy.from == nullptr) return cudaErrorInvalidValue;
  if (to_device ? !device_range(copy.to, copy.bytes) : !is_host(to)) return cudaErrorInvalidValue;
  if (from_device ? !device_range(copy.from, copy.bytes) : !is_host(from)) return cudaErrorInvalidValue;
  return cudaSuccess;
}

cudaError_t move_bytes(void* to, const void* from, std::size_t bytes) {
  std::memmove(to, from, bytes);
  if (is_device(place_of(to))) dev_copied(to, from, bytes);
  return cudaSuccess;
}

Work work_of(const Copy& copy) {
  return [copy] { return move_bytes(copy.to, copy.from, copy.bytes); };
}

// Pageable memory is read when the copy is enqueued: the caller may write it at once.
Work staged(const Copy& copy) {
  const auto* start = static_cast<const char*>(copy.from);
  const auto bytes = std::make_shared<const std::vector<char>>(start, start + copy.bytes);
  return [to = copy.to, bytes] { return move_bytes(to, bytes->data(), bytes->size()); };
}

cudaError_t fill(void* p, int value, std::size_t bytes, cudaStream_t stream, const char* function) {
  if (bytes == 0) return cudaSuccess;
  if (!device_range(p, bytes)) return cudaErrorInvalidValue;
  return enqueue(stream, cudaGraphNodeTypeMemset, function, [=] {
    std::memset(p, value, bytes);
    dev_init(p, bytes);
    return cudaSuccess;
  });
}

}  // namespace
}  // namespace emulator

using namespace emulator;

cudaError_t cudaMemcpy(void* dst, const void* src, std::size_t count, cudaMemcpyKind kind) {
  return api("cudaMemcpy", [&] {
    if (const cudaError_t error = refuse_unsafe()) return error;
    if (count == 0) return cudaSuccess;
    Copy copy{dst, src, count, kind};
    if (const cudaError_t error = check(copy)) return error;
    if (const cudaError_t error = enqueue(nullptr, cudaGraphNodeTypeMemcpy, "cudaMemcpy", work_of(copy))) return error;
    // Between device addresses CUDA does not wait either.
    return copy.kind == cudaMemcpyDeviceToDevice ? cudaSuccess : run_until(find_stream(nullptr)->last);
  });
}

cudaError_t cudaMemcpyAsync(void* dst, const void* src, std::size_t count, cudaMemcpyKind kind, cudaStream_t handle) {
  return api("cudaMemcpyAsync", [&] {
    const CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (count == 0) return cudaSuccess;
    Copy copy{dst, src, count, kind};
    if (const cudaError_t error = check(copy)) return error;
    // A captured copy reads and writes host memory when it is replayed.
    const bool captured = stream->capture != nullptr;
    const bool stage = !captured && copy.kind == cudaMemcpyHostToDevice && place_of(src) == Place::pageable;
    const bool wait = !captured && copy.kind == cudaMemcpyDeviceToHost && place_of(dst) == Place::pageable;
    const cudaError_t error =
        enqueue(handle, cudaGraphNodeTypeMemcpy, "cudaMemcpyAsync", stage ? staged(copy) : work_of(copy));
    return error == cudaSuccess && wait ? run_until(stream->last) : error;
  });
}

cudaError_t cudaMemset(void* devPtr, int value, std::size_t count) {
  return api("cudaMemset", [&] {
    if (const cudaError_t error = refuse_unsafe()) return error;
    return fill(devPtr, value, count, nullptr, "cudaMemset");
  });
}

cudaError_t cudaMemsetAsync(void* devPtr, int value, std::size_t count, cudaStream_t stream) {
  return api("cudaMemsetAsync", [&] {
    if (find_stream(stream) == nullptr) return cudaErrorInvalidResourceHandle;
    return fill(devPtr, value, count, stream, "cudaMemsetAsync");
  });
}
