#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

// Pending work. All of it is one graph of operations: a stream is the chain of its operations, an event is an
// operation, the rules of the default stream and the edges of a captured graph are dependencies like any other. Nothing
// runs until the host waits for something; then every order that the dependencies allow is a legal one.

namespace emulator {

/// What an operation does; anything but cudaSuccess becomes the sticky error.
using Work = std::function<cudaError_t()>;

struct Operation {
  std::uint64_t serial = 0;  // counts up as the host enqueues
  std::vector<std::shared_ptr<Operation>> waits;
  Work work;  // may be empty: an event, a join
  bool done = false;
  double finished = 0;  // seconds, of a steady clock
};
using OperationRef = std::shared_ptr<Operation>;

/// Adds an operation that runs after all of `waits` (nullptr and finished ones are dropped).
OperationRef submit(std::vector<OperationRef> waits, Work work);

/// Runs pending work until `target` is done: what it depends on, and in random order perhaps more.
/// @return the sticky error
cudaError_t run_until(const OperationRef& target);

/// Runs all pending work.
cudaError_t run_all();

/// Runs one operation that `target` depends on, or `target` itself. A loop of queries thus comes to an end.
void step_towards(const OperationRef& target);

/// Drops all pending work. Host-side waiters see it as done.
void abandon_pending();

std::size_t pending_operations();

/// Reads SEQGPU_EMULATOR_STREAMS and SEQGPU_EMULATOR_SEED.
void stream_order_from_environment();

}  // namespace emulator
