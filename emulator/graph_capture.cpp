#include <algorithm>

#include "emulator/graph.hpp"
#include "emulator/runtime.hpp"

// Stream capture: what may be captured, and what ends it in an error.

namespace emulator {
namespace {

std::vector<std::shared_ptr<Capture>>& captures() {
  static auto& instance = *new std::vector<std::shared_ptr<Capture>>;  // outlives static devices
  return instance;
}

thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

void add_heads(std::vector<std::size_t>& heads, const std::vector<std::size_t>& more) {
  for (const std::size_t head : more)
    if (std::find(heads.begin(), heads.end(), head) == heads.end()) heads.push_back(head);
}

// Is every node one of `heads`, or waited for by them?
bool all_joined(const Nodes& nodes, const std::vector<std::size_t>& heads) {
  std::vector<bool> reached(nodes.size(), false);
  for (const std::size_t head : heads) reached[head] = true;
  for (std::size_t i = nodes.size(); i-- > 0;)
    if (reached[i])
      for (const std::size_t wait : nodes[i]->waits) reached[wait] = true;
  return std::all_of(reached.begin(), reached.end(), [](bool value) { return value; });
}

// Does the capture forbid unsafe calls of this thread?
bool forbids(const Capture& capture) {
  if (thread_mode == cudaStreamCaptureModeRelaxed) return false;
  if (capture.thread == std::this_thread::get_id()) return capture.mode != cudaStreamCaptureModeRelaxed;
  return thread_mode == cudaStreamCaptureModeGlobal && capture.mode == cudaStreamCaptureModeGlobal;
}

}  // namespace

void reset_captures() {
  captures().clear();
  thread_mode = cudaStreamCaptureModeGlobal;
}

cudaError_t invalidate(Capture& capture, cudaError_t error) {
  capture.invalidated = true;
  return error;
}

void end_capture(const std::shared_ptr<Capture>& capture) {
  capture->ended = true;
  std::erase(captures(), capture);
  for (CUstream_st* member : all_streams())
    if (member->capture == capture) {
      member->capture = nullptr;
      member->heads.clear();
    }
}

cudaError_t capture_node(CUstream_st& stream, CUgraphNode_st node) {
  Capture& capture = *stream.capture;
  if (capture.invalidated) return cudaErrorStreamCaptureInvalidated;
  node.waits = stream.heads;
  stream.heads = {capture.nodes.size()};
  capture.nodes.push_back(std::make_shared<const CUgraphNode_st>(std::move(node)));
  return cudaSuccess;
}

cudaError_t capture_wait(CUstream_st& stream, const CUevent_st& event) {
  if (stream.capture != nullptr && stream.capture->invalidated) return cudaErrorStreamCaptureInvalidated;
  if (event.capture == nullptr) {
    // An event that was never recorded orders nothing.
    if (event.recorded == nullptr) return cudaSuccess;
    return invalidate(*stream.capture, cudaErrorStreamCaptureIsolation);
  }
  if (event.capture->ended) {
    if (stream.capture != nullptr) stream.capture->invalidated = true;
    return cudaErrorCapturedEvent;
  }
  if (event.capture->invalidated) return cudaErrorStreamCaptureInvalidated;
  if (stream.capture == nullptr) {  // the event pulls the stream into its capture
    if (&stream == find_stream(nullptr)) return invalidate(*event.capture, cudaErrorStreamCaptureImplicit);
    stream.capture = event.capture;
    stream.heads = event.heads;
    return cudaSuccess;
  }
  if (stream.capture != event.capture) {
    event.capture->invalidated = true;
    return invalidate(*stream.capture, cudaErrorStreamCaptureMerge);
  }
  add_heads(stream.heads, event.heads);
  return cudaSuccess;
}

cudaError_t refuse_unsafe() {
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures())
    if (forbids(*capture)) error = invalidate(*capture, cudaErrorStreamCaptureUnsupported);
  return error;
}

cudaError_t refuse_any_capture() {
  cudaError_t error = cudaSuccess;
  for (const auto& capture : captures()) error = invalidate(*capture, cudaErrorStreamCaptureUnsupported);
  return error;
}

cudaError_t refuse_implicit() {
  cudaError_t error = cudaSuccess;
  for (const CUstream_st* stream : all_streams())
    if (stream->capture != nullptr && stream->blocking())
      error = invalidate(*stream->capture, cudaErrorStreamCaptureImplicit);
  return error;
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return api("cudaStreamBeginCapture", [&] {
    CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream == find_stream(nullptr)) return cudaErrorStreamCaptureUnsupported;
    if (stream->capture != nullptr) return cudaErrorIllegalState;
    auto capture = std::make_shared<Capture>();
    capture->origin = stream;
    capture->mode = mode;
    capture->thread = std::this_thread::get_id();
    stream->capture = capture;
    stream->heads.clear();
    captures().push_back(std::move(capture));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* pGraph) {
  if (pGraph != nullptr) *pGraph = nullptr;
  return api("cudaStreamEndCapture", [&] {
    CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (pGraph == nullptr) return cudaErrorInvalidValue;
    const std::shared_ptr<Capture> capture = stream->capture;
    if (capture == nullptr) return cudaErrorIllegalState;
    if (capture->origin != stream) return invalidate(*capture, cudaErrorStreamCaptureUnmatched);
    if (capture->mode != cudaStreamCaptureModeRelaxed && capture->thread != std::this_thread::get_id())
      return cudaErrorStreamCaptureWrongThread;

    const bool joined = all_joined(capture->nodes, stream->heads);
    end_capture(capture);
    if (capture->invalidated) return cudaErrorStreamCaptureInvalidated;
    if (!joined) return cudaErrorStreamCaptureUnjoined;
    *pGraph = add_graph(std::move(capture->nodes));
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* pCaptureStatus) {
  return api("cudaStreamIsCapturing", [&] {
    const CUstream_st* stream = find_stream(handle);
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (pCaptureStatus == nullptr) return cudaErrorInvalidValue;
    if (stream->capture == nullptr)
      *pCaptureStatus = cudaStreamCaptureStatusNone;
    else
      *pCaptureStatus =
          stream->capture->invalidated ? cudaStreamCaptureStatusInvalidated : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode* mode) {
  return api("cudaThreadExchangeStreamCaptureMode", [&] {
    if (mode == nullptr) return cudaErrorInvalidValue;
    std::swap(*mode, thread_mode);
    return cudaSuccess;
  });
}
