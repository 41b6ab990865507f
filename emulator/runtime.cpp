#include "emulator/runtime.hpp"

#include <cstdlib>
#include <map>
#include <string>

#include "emulator/graph.hpp"
#include "emulator/memory.hpp"
#include "emulator/stream.hpp"

// The frame of API functions: errors, counters, injected faults, and what a test controls.

namespace emulator {
namespace {

struct Fault {
  cudaError_t error;
  std::size_t skip;
};

struct State {
  cudaError_t sticky = cudaSuccess;
  std::string fault_text;
  std::map<std::string, std::size_t> calls;
  std::map<std::string, Fault> faults;
};

State& state() {
  static auto& instance = *new State;  // outlives static devices
  return instance;
}

thread_local cudaError_t last = cudaSuccess;

bool is_sticky(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure: return true;
    default: return false;
  }
}

}  // namespace

std::recursive_mutex& runtime_mutex() {
  static auto& mutex = *new std::recursive_mutex;  // outlives static devices
  return mutex;
}

bool& work_is_running() {
  static bool running = false;
  return running;
}

void refuse_in_kernel(const char* function) {
  if (in_kernel()) fail("%s called inside a kernel", function);
}

cudaError_t sticky_error() { return state().sticky; }

const std::string& fault_text() { return state().fault_text; }

void set_fault_text(std::string text) { state().fault_text = std::move(text); }

void set_sticky(cudaError_t error) {
  if (state().sticky == cudaSuccess) state().sticky = error;
  abandon_pending();
}

cudaError_t begin_call(const char* function, Needs needs) {
  ++state().calls[function];
  if (work_is_running()) return cudaErrorNotPermitted;
  const auto fault = state().faults.find(function);
  if (fault != state().faults.end() && fault->second.skip-- == 0) {
    const cudaError_t error = fault->second.error;
    state().faults.erase(fault);
    if (is_sticky(error)) set_sticky(error);
    return error;
  }
  if (needs == Needs::nothing) return cudaSuccess;
  if (!device_model().driver) return cudaErrorInsufficientDriver;
  if (device_model().count == 0) return cudaErrorNoDevice;
  return needs == Needs::healthy_device ? state().sticky : cudaSuccess;
}

cudaError_t end_call(cudaError_t error) {
  if (error != cudaSuccess) last = error;
  return error;
}

std::size_t calls(const std::string& function) {
  const std::lock_guard lock(runtime_mutex());
  const auto found = state().calls.find(function);
  return found == state().calls.end() ? 0 : found->second;
}

void reset_calls() {
  const std::lock_guard lock(runtime_mutex());
  state().calls.clear();
}

void fail_next(const std::string& function, cudaError_t error, std::size_t skip) {
  const std::lock_guard lock(runtime_mutex());
  state().faults[function] = {error, skip};
}

Live live() {
  const std::lock_guard lock(runtime_mutex());
  Live result;
  count_memory(result);
  count_streams(result);
  count_graphs(result);
  count_cublas(result);
  return result;
}

std::string Live::text() const {
  std::string text;
  const auto add = [&text](std::size_t count, const char* what, std::size_t bytes = 0) {
    if (count == 0) return;
    if (!text.empty()) text += ", ";
    text += std::to_string(count) + " " + what + (count == 1 ? "" : "s");
    if (bytes != 0) text += " (" + std::to_string(bytes) + " bytes)";
  };
  add(device_allocations, "device allocation", device_bytes);
  add(host_allocations, "pinned host allocation", host_bytes);
  add(streams, "stream");
  add(events, "event");
  add(graphs, "graph");
  add(graph_execs, "executable graph");
  add(cublas_handles, "cuBLAS handle");
  add(pending, "pending operation");
  return text.empty() ? "nothing" : text;
}

void reset() {
  const std::lock_guard lock(runtime_mutex());
  abandon_pending();
  reset_graphs();
  reset_streams();
  reset_cublas();
  reset_memory();
  state() = {};
  last = cudaSuccess;
  device_model() = {};
  stream_order_from_environment();
}

}  // namespace emulator

using namespace emulator;

cudaError_t cudaGetLastError() {
  const std::lock_guard lock(runtime_mutex());
  ++state().calls["cudaGetLastError"];
  const cudaError_t error = cudaPeekAtLastError();
  last = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() {
  const std::lock_guard lock(runtime_mutex());
  return state().sticky != cudaSuccess ? state().sticky : last;
}

const char* cudaGetErrorString(cudaError_t error) {
  // The sticky error also says what the emulator found.
  static thread_local std::string text;
  const std::lock_guard lock(runtime_mutex());
  text = error_text(error);
  if (error != cudaSuccess && error == state().sticky && !fault_text().empty()) text += ": " + fault_text();
  return text.c_str();
}
