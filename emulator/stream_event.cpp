#include <algorithm>

#include "emulator/graph.hpp"
#include "emulator/runtime.hpp"
#include "emulator/stream.hpp"

// Events: an operation without work, which others wait for.

namespace emulator {
namespace {

std::vector<std::unique_ptr<CUevent_st>>& events() {
  static auto& instance = *new std::vector<std::unique_ptr<CUevent_st>>;  // outlives static devices
  return instance;
}

// An event last recorded in a capture has no state that the host could ask for.
cudaError_t refuse_captured(const CUevent_st& event) {
  if (event.capture == nullptr) return cudaSuccess;
  return event.capture->ended ? cudaErrorCapturedEvent : invalidate(*event.capture, cudaErrorCapturedEvent);
}

}  // namespace

CUevent_st* find_event(cudaEvent_t handle) {
  for (const auto& event : events())
    if (event.get() == handle) return handle;
  return nullptr;
}

void count_events(Live& result) { result.events = events().size(); }

void reset_events() { events().clear(); }

}  // namespace emulator

using namespace emulator;

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* handle, unsigned int flags) {
  return api("cudaEventCreateWithFlags", [&] {
    constexpr unsigned kKnown = cudaEventBlockingSync | cudaEventDisableTiming;
    if (handle == nullptr || (flags & ~kKnown) != 0) return cudaErrorInvalidValue;
    auto event = std::make_unique<CUevent_st>();
    event->flags = flags;
    *handle = events().emplace_back(std::move(event)).get();
    return cudaSuccess;
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  return api("cudaEventDestroy", Needs::device, [&] {
    const CUevent_st* event = find_event(handle);
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    std::erase_if(events(), [&](const auto& other) { return other.get() == event; });
    return cudaSuccess;
  });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  return api("cudaEventRecord", [&] {
    CUevent_st* event = find_event(handle);
    CUstream_st* stream = find_stream(stream_handle);
    if (event == nullptr || stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr) {
      if (stream->capture->invalidated) return cudaErrorStreamCaptureInvalidated;
      event->recorded = nullptr;
      event->capture = stream->capture;
      event->heads = stream->heads;
      return cudaSuccess;
    }
    if (stream == find_stream(nullptr))
      if (const cudaError_t error = refuse_implicit()) return error;
    event->capture = nullptr;
    event->recorded = append(*stream, {});
    return sticky_error();
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream_handle, cudaEvent_t handle, unsigned int flags) {
  return api("cudaStreamWaitEvent", [&] {
    const CUevent_st* event = find_event(handle);
    CUstream_st* stream = find_stream(stream_handle);
    if (event == nullptr || stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (flags != cudaEventWaitDefault) return cudaErrorInvalidValue;
    if (stream->capture != nullptr || event->capture != nullptr) return capture_wait(*stream, *event);
    if (event->recorded == nullptr) return cudaSuccess;
    append(*stream, {}, {event->recorded});
    return sticky_error();
  });
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return api("cudaEventQuery", [&] {
    const CUevent_st* event = find_event(handle);
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = refuse_captured(*event)) return error;
    if (const cudaError_t error = refuse_unsafe()) return error;
    if (event->recorded == nullptr || event->recorded->done) return cudaSuccess;
    step_towards(event->recorded);
    return sticky_error() != cudaSuccess ? sticky_error() : cudaErrorNotReady;
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return api("cudaEventSynchronize", [&] {
    const CUevent_st* event = find_event(handle);
    if (event == nullptr) return cudaErrorInvalidResourceHandle;
    if (const cudaError_t error = refuse_captured(*event)) return error;
    if (const cudaError_t error = refuse_unsafe()) return error;
    return run_until(event->recorded);
  });
}

cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start_handle, cudaEvent_t end_handle) {
  return api("cudaEventElapsedTime", [&] {
    const CUevent_st *start = find_event(start_handle), *end = find_event(end_handle);
    if (ms == nullptr) return cudaErrorInvalidValue;
    for (const CUevent_st* event : {start, end})
      if (event == nullptr || (event->flags & cudaEventDisableTiming) != 0 || event->recorded == nullptr)
        return cudaErrorInvalidResourceHandle;
    if (!start->recorded->done || !end->recorded->done) return cudaErrorNotReady;
    *ms = static_cast<float>((end->recorded->finished - start->recorded->finished) * 1e3);
    return cudaSuccess;
  });
}
