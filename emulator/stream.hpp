#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <vector>

#include "emulator/control.hpp"
#include "emulator/stream_queue.hpp"

// Streams and events, and how work gets into them.

namespace emulator {

struct Capture;  // graph.hpp

}  // namespace emulator

struct CUstream_st {
  unsigned flags = cudaStreamDefault;
  int priority = 0;
  emulator::OperationRef last;  // nullptr: never used

  // While captured: the nodes that the next one waits for.
  std::shared_ptr<emulator::Capture> capture;
  std::vector<std::size_t> heads;

  bool blocking() const { return (flags & cudaStreamNonBlocking) == 0; }
};

struct CUevent_st {
  unsigned flags = cudaEventDefault;
  emulator::OperationRef recorded;  // nullptr: never recorded, or last recorded in a capture

  std::shared_ptr<emulator::Capture> capture;
  std::vector<std::size_t> heads;
};

namespace emulator {

/// The stream of a handle; the default stream for nullptr and cudaStreamLegacy, nullptr for no stream.
CUstream_st* find_stream(cudaStream_t handle);
CUevent_st* find_event(cudaEvent_t handle);

/// All streams, the default one first.
std::vector<CUstream_st*> all_streams();

/// Puts work into a stream: behind what is there, and by the rules of the default stream; or into the graph that the
/// stream is captured into.
cudaError_t enqueue(cudaStream_t stream, cudaGraphNodeType type, const char* label, Work work);

/// The same for a stream that is not captured; `also` are further dependencies.
OperationRef append(CUstream_st& stream, Work work, std::vector<OperationRef> also = {});

void count_events(Live& result);
void reset_events();

void count_streams(Live& result);
void reset_streams();

}  // namespace emulator
