#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "emulator/control.hpp"
#include "emulator/stream.hpp"

// Stream capture and graphs. A captured operation is the closure that the stream would have run, and the edges are
// those that the streams and events of the capture gave; a replay may run in every order that the edges allow.

struct CUgraphNode_st {
  cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
  std::string label;
  emulator::Work work;
  std::vector<std::size_t> waits;                               // indices of earlier nodes
  std::vector<std::shared_ptr<const CUgraphNode_st>> children;  // of an embedded graph
};

namespace emulator {

using Nodes = std::vector<std::shared_ptr<const CUgraphNode_st>>;  // each after what it waits for

}  // namespace emulator

struct CUgraph_st {
  emulator::Nodes nodes;
};

struct CUgraphExec_st {
  emulator::Nodes nodes;
  emulator::OperationRef last;  // launches of one executable graph follow one another
};

namespace emulator {

/// A capture that has begun and not ended.
struct Capture {
  Nodes nodes;
  CUstream_st* origin = nullptr;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
  std::thread::id thread;
  bool invalidated = false;
  bool ended = false;
};

/// Adds a node behind the stream's heads.
cudaError_t capture_node(CUstream_st& stream, CUgraphNode_st node);

/// cudaStreamWaitEvent where the stream or the event belongs to a capture.
cudaError_t capture_wait(CUstream_st& stream, const CUevent_st& event);

/// For a call that a capture forbids as its mode says (cudaMalloc...): invalidates it and answers
/// cudaErrorStreamCaptureUnsupported.
cudaError_t refuse_unsafe();

/// For a call that waits for the whole device.
cudaError_t refuse_any_capture();

/// For work on the default stream, which would have to wait for blocking streams under capture.
cudaError_t refuse_implicit();

/// Invalidates a capture and passes the error on.
cudaError_t invalidate(Capture& capture, cudaError_t error);

/// graph.cpp keeps the graphs, graph_capture.cpp what is being captured.
cudaGraph_t add_graph(Nodes nodes);
void reset_captures();
void end_capture(const std::shared_ptr<Capture>& capture);

void count_graphs(Live& result);
void reset_graphs();

}  // namespace emulator
