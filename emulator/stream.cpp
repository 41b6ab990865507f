#include "emulator/stream.hpp"

#include <algorithm>

#include "emulator/graph.hpp"
#include "emulator/runtime.hpp"

namespace emulator {
namespace {

constexpr int kGreatestPriority = -5;

struct Streams {
  CUstream_st legacy;
  std::vector<std::unique_ptr<CUstream_st>> created;  // in the order of creation
};

Streams& streams() {
  static auto& instance = *new Streams;  // outlives static devices
  return instance;
}

bool is_default(const CUstream_st& stream) { return &stream == &streams().legacy; }

cudaError_t create(cudaStream_t* handle, unsigned flags, int priority) {
  if (handle == nullptr || (flags & ~unsigned{cudaStreamNonBlocking}) != 0) return cudaErrorInvalidValue;
  auto stream = std::make_unique<CUstream_st>();
  stream->flags = flags;
  stream->priority = std::clamp(priority, kGreatestPriority, 0);
  *handle = streams().created.emplace_back(std::move(stream)).get();
  return cudaSuccess;
}

cudaError_t refuse_captured(const CUstream_st& stream) {
  if (stream.capture != nullptr) return invalidate(*stream.capture, cudaErrorStreamCaptureUnsupported);
  return is_default(stream) ? refuse_implicit() : cudaSuccess;
}

}  // namespace

CUstream_st* find_stream(cudaStream_t handle) {
  if (handle == nullptr || handle == cudaStreamLegacy) return &streams().legacy;
  for (const auto& stream : streams().created)
    if (stream.get() == handle) return handle;
  return nullptr;
}

std::vector<CUstream_st*> all_streams() {
  std::vector<CUstream_st*> result{&streams().legacy};
  for (const auto& stream : streams().created) result.push_back(stream.get());
  return result;
}

OperationRef append(CUstream_st& stream, Work work, std::vector<OperationRef> also) {
  also.push_back(stream.last);
  if (is_default(stream)) {  // waits for all blocking streams, and they wait for it
    for (const auto& other : streams().created)
      if (other->blocking()) also.push_back(other->last);
  } else if (stream.blocking()) {
    also.push_back(streams().legacy.last);
  }
  return stream.last = submit(std::move(also), std::move(work));
}

cudaError_t enqueue(cudaStream_t handle, cudaGraphNodeType type, const char* label, Work work) {
  CUstream_st* stream = find_stream(handle);
  if (stream == nullptr) return cudaErrorInvalidResourceHandle;
  if (stream->capture != nullptr) return capture_node(*stream, {type, label, std::move(work), {}, {}});
  if (is_default(*stream))
    if (const cudaError_t error = refuse_implicit()) return error;
  append(*stream, std::move(work));
  return sticky_error();
}

void count_streams(Live& result) {
  result.streams = streams().created.size();
  result.pending = pending_operations();
  count_events(result);
}

void reset_streams() {
  streams().created.clear();
  streams().legacy = {};
  reset_events();
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaStreamCreate(cudaStream_t* pStream) {
  return api("cudaStreamCreate", [&] { return create(pStream, cudaStreamDefault, 0); });
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* pStream, unsigned int flags) {
  return api("cudaStreamCreateWithFlags", [&] { return create(pStream, flags, 0); });
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* pStream, unsigned int flags, int priority) {
  return api("cudaStreamCreateWithPriority", [&] { return create(pStream, flags, priority); });
}

// Returns at once: work that is pending still runs.
cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return api("cudaStreamDestroy", Needs::device, [&] {
    CUstream_st* stream = find_stream(handle);
    if (stream == nullptr || is_default(*stream)) return cudaErrorInvalidResourceHandle;
    if (const auto capture = stream->capture; capture != nullptr) {
      invalidate(*capture, cudaErrorStreamCaptureUnsupported);
      if (capture->origin == stream) end_capture(capture);
    }
    std::erase_if(streams().created, [&](const auto& other) { return other.get() == stream; });
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetFlags(cudaStream_t handle, unsigned int* flags) {
  return api("cudaStreamGetFlags", [&] {
    const CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags == nullptr) return cudaErrorInvalidValue;
    *flags = stream->flags;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamGetPriority(cudaStream_t handle, int* priority) {
  return api("cudaStreamGetPriority", [&] {
    const CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (priority == nullptr) return cudaErrorInvalidValue;
    *priority = stream->priority;
    return cudaSuccess;
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return api("cudaStreamSynchronize", [&] {
    CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = refuse_captured(*stream)) return error;
    // The default stream is done when what it would wait for is done.
    return run_until(is_default(*stream) ? append(*stream, {}) : stream->last);
  });
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  return api("cudaStreamQuery", [&] {
    CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = refuse_captured(*stream)) return error;
    if (stream->last == nullptr || stream->last->done) return cudaSuccess;
    step_towards(stream->last);
    return sticky_error() != cudaSuccess ? sticky_error() : cudaErrorNotReady;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return api("cudaDeviceSynchronize", [&] {
    if (const cudaError_t error = refuse_any_capture()) return error;
    return run_all();
  });
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t fn, void* userData) {
  return api("cudaLaunchHostFunc", [&] {
    if (fn == nullptr) return cudaErrorInvalidValue;
    return enqueue(stream, cudaGraphNodeTypeHost, "cudaLaunchHostFunc", [fn, userData] {
      fn(userData);
      return cudaSuccess;
    });
  });
}
