#include "emulator/graph.hpp"

#include <algorithm>
#include <memory>

#include "emulator/runtime.hpp"

// Graphs after their capture: looking at them, and replaying them.

namespace emulator {
namespace {

std::vector<std::unique_ptr<CUgraph_st>>& graphs() {
  static auto& instance = *new std::vector<std::unique_ptr<CUgraph_st>>;  // outlives static devices
  return instance;
}

std::vector<std::unique_ptr<CUgraphExec_st>>& execs() {
  static auto& instance = *new std::vector<std::unique_ptr<CUgraphExec_st>>;  // outlives static devices
  return instance;
}

template <class T>
T* find(const std::vector<std::unique_ptr<T>>& all, const T* handle) {
  for (const auto& one : all)
    if (one.get() == handle) return one.get();
  return nullptr;
}

// Submits the nodes behind `entry`; returns what marks their end.
OperationRef replay(const Nodes& nodes, const OperationRef& entry) {
  std::vector<OperationRef> operations;
  for (const auto& node : nodes) {
    std::vector<OperationRef> waits{entry};
    for (const std::size_t wait : node->waits) waits.push_back(operations[wait]);
    OperationRef operation = submit(std::move(waits), node->work);
    if (!node->children.empty()) operation = replay(node->children, operation);
    operations.push_back(std::move(operation));
  }
  operations.push_back(entry);
  return submit(std::move(operations), {});
}

}  // namespace

cudaGraph_t add_graph(Nodes nodes) {
  auto graph = std::make_unique<CUgraph_st>();
  graph->nodes = std::move(nodes);
  return graphs().emplace_back(std::move(graph)).get();
}

void count_graphs(Live& result) {
  result.graphs = graphs().size();
  result.graph_execs = execs().size();
}

void reset_graphs() {
  graphs().clear();
  execs().clear();
  reset_captures();
}

std::vector<GraphNodeView> graph_nodes(cudaGraph_t handle) {
  const std::lock_guard lock(runtime_mutex());
  const CUgraph_st* graph = find(graphs(), handle);
  std::vector<GraphNodeView> result;
  if (graph == nullptr) return result;
  for (const auto& node : graph->nodes) result.push_back({node->type, node->label, node->waits});
  return result;
}

}  // namespace emulator

using namespace emulator;

// Without `nodes` asks how many there are; with fewer places than nodes fills those.
cudaError_t cudaGraphGetNodes(cudaGraph_t handle, cudaGraphNode_t* nodes, std::size_t* numNodes) {
  return api("cudaGraphGetNodes", [&] {
    const CUgraph_st* graph = find(graphs(), handle);
    if (graph == nullptr || numNodes == nullptr) return cudaErrorInvalidValue;
    if (nodes == nullptr) {
      *numNodes = graph->nodes.size();
      return cudaSuccess;
    }
    for (std::size_t i = 0; i < *numNodes; ++i)
      nodes[i] = i < graph->nodes.size() ? const_cast<cudaGraphNode_t>(graph->nodes[i].get()) : nullptr;
    *numNodes = std::min(*numNodes, graph->nodes.size());
    return cudaSuccess;
  });
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, cudaGraphNodeType* pType) {
  return api("cudaGraphNodeGetType", [&] {
    if (node == nullptr || pType == nullptr) return cudaErrorInvalidValue;
    *pType = node->type;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* pGraphExec, cudaGraph_t handle, unsigned long long flags) {
  return api("cudaGraphInstantiate", [&] {
    const CUgraph_st* graph = find(graphs(), handle);
    if (pGraphExec == nullptr || graph == nullptr || flags != 0) return cudaErrorInvalidValue;
    auto exec = std::make_unique<CUgraphExec_st>();
    exec->nodes = graph->nodes;
    *pGraphExec = execs().emplace_back(std::move(exec)).get();
    return cudaSuccess;
  });
}

cudaError_t cudaGraphUpload(cudaGraphExec_t handle, cudaStream_t stream) {
  return api("cudaGraphUpload", [&] {
    if (find(execs(), handle) == nullptr) return cudaErrorInvalidValue;
    return find_stream(stream) == nullptr ? cudaErrorInvalidResourceHandle : cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream_handle) {
  return api("cudaGraphLaunch", [&] {
    CUgraphExec_st* exec = find(execs(), handle);
    CUstream_st* stream = find_stream(stream_handle);
    if (exec == nullptr) return cudaErrorInvalidValue;
    if (stream == nullptr) return cudaErrorInvalidResourceHandle;
    if (stream->capture != nullptr)
      return capture_node(*stream, {cudaGraphNodeTypeGraph, "cudaGraphLaunch", {}, {}, exec->nodes});
    if (stream == find_stream(nullptr))
      if (const cudaError_t error = refuse_implicit()) return error;
    const OperationRef entry = append(*stream, {}, {exec->last});
    exec->last = replay(exec->nodes, entry);
    append(*stream, {}, {exec->last});
    return sticky_error();
  });
}

// A launch that is pending still runs.
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t handle) {
  return api("cudaGraphExecDestroy", Needs::device, [&] {
    const CUgraphExec_st* exec = find(execs(), handle);
    if (exec == nullptr) return cudaErrorInvalidValue;
    std::erase_if(execs(), [&](const auto& other) { return other.get() == exec; });
    return cudaSuccess;
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t handle) {
  return api("cudaGraphDestroy", Needs::device, [&] {
    const CUgraph_st* graph = find(graphs(), handle);
    if (graph == nullptr) return cudaErrorInvalidValue;
    std::erase_if(graphs(), [&](const auto& other) { return other.get() == graph; });
    return cudaSuccess;
  });
}
