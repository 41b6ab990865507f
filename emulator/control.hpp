#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

// What a test may ask of the emulated runtime, and tell it: the device it pretends to be, faults to inject, the order
// in which streams run, and what was called, allocated and left behind.

namespace emulator {

/// The device that the runtime pretends to have. The start is a small Hopper.
struct DeviceModel {
  std::string name = "Emulated GPU";
  int count = 1;       // devices of this kind; 0: every call answers cudaErrorNoDevice
  bool driver = true;  // false: every call answers cudaErrorInsufficientDriver
  int major = 9, minor = 0;
  int multiprocessors = 4;
  std::size_t memory_bytes = std::size_t{1} << 30;
  std::size_t shared_bytes_per_block = 227 * 1024;           // the most that a kernel may opt into
  std::size_t shared_bytes_per_multiprocessor = 228 * 1024;  // with 1 KiB that the system keeps for each block
  int threads_per_multiprocessor = 2048;
  int blocks_per_multiprocessor = 32;
  int l2_bytes = 50 * 1024 * 1024;

  bool has_clusters() const { return major >= 9; }
};

/// May be changed at any time while no work is pending. All pretended devices share one memory.
DeviceModel& device_model();

/// Sets major, minor and the limits of that capability (7.0, 7.5, 8.0, 8.6, 8.9, 9.0, 10.0, 12.0 and what lies
/// between).
void set_compute_capability(int major, int minor);

enum class StreamOrder {
  enqueued,  // as the host enqueued it
  reverse,   // the latest work first, as far as its dependencies allow
  random     // any legal order, by Options::seed; work nobody waits for yet may run too
};

/// The order in which pending work of streams, and the nodes of a graph, run at a synchronisation point. Starts from
/// SEQGPU_EMULATOR_STREAMS (order, reverse, random) and SEQGPU_EMULATOR_SEED.
void set_stream_order(StreamOrder order);
void set_stream_order(StreamOrder order, std::uint64_t seed);
StreamOrder stream_order();

/// How often an API function was called since the last reset, refused calls too: calls("cudaMalloc"). A kernel launch
/// is "cudaLaunchKernelEx".
std::size_t calls(const std::string& function);
void reset_calls();

/// The next call of `function`, after `skip` more that work, does nothing and answers `error`. An error that CUDA makes
/// sticky (an illegal address, a launch failure...) is sticky here too.
void fail_next(const std::string& function, cudaError_t error, std::size_t skip = 0);

/// What exists now.
struct Live {
  std::size_t device_allocations = 0, device_bytes = 0;
  std::size_t host_allocations = 0, host_bytes = 0;
  std::size_t streams = 0, events = 0, graphs = 0, graph_execs = 0, cublas_handles = 0;
  std::size_t pending = 0;  // operations enqueued and not run

  bool operator==(const Live&) const = default;
  bool none() const { return *this == Live{}; }
  /// "2 device allocations (96 bytes), 1 event"; "nothing" when there is none.
  std::string text() const;
};
Live live();

/// The most device bytes alive at once since the last call of reset_peak().
std::size_t peak_device_bytes();
void reset_peak();

/// The sticky error, cudaSuccess while the device is well, and what the emulator found; cudaGetErrorString says both.
cudaError_t sticky_error();
const std::string& fault_text();

/// Back to the start: frees and destroys everything that is left, drops pending work, clears errors (sticky ones too),
/// injected faults and counters, and restores the device model and the order from the environment.
void reset();

/// A node of a captured graph, for tests of its dependencies.
struct GraphNodeView {
  cudaGraphNodeType type;
  std::string label;               // the kernel's name, or the API function
  std::vector<std::size_t> waits;  // indices of the nodes that it waits for
};
std::vector<GraphNodeView> graph_nodes(cudaGraph_t graph);

}  // namespace emulator
