#pragma once

#include <cuda_runtime_api.h>

#include <memory>
#include <mutex>
#include <string>

#include "emulator/control.hpp"
#include "emulator/execution.hpp"

// What the emulated runtime's parts share: the frame around every API function, and the entry for kernel launches.

namespace emulator {

/// Checks a launch and enqueues it on config.stream; cudaLaunchKernelEx is a template around it.
/// @param kernel  its address, the key of its attributes
/// @param args    kept until the kernel ran (with each replay, when captured); `bytes` of it are readable by kernels
cudaError_t enqueue_kernel(const cudaLaunchConfig_t& config, const void* kernel, const char* name, ThreadBody body,
                           std::shared_ptr<const void> args, std::size_t bytes, Location location);

/// What must hold before an API function does its work.
enum class Needs {
  nothing,         // works without a driver
  device,          // works after a sticky error: destroys and frees, and then still answers that error
  healthy_device,  // the rule
};

/// One lock for all of the runtime. Recursive: API functions use each other.
std::recursive_mutex& runtime_mutex();

/// Fails inside a kernel, where no API function may be called.
void refuse_in_kernel(const char* function);

/// Counts the call; an injected fault, a missing driver or device, or a sticky error.
cudaError_t begin_call(const char* function, Needs needs);

/// Remembers the error of a call for cudaGetLastError.
cudaError_t end_call(cudaError_t error);

/// Makes `error` the answer of every later call, and drops pending work.
void set_sticky(cudaError_t error);

/// The text for the fault that a running operation is about to answer.
void set_fault_text(std::string text);

/// True while pending work runs: a host function may not call the runtime.
bool& work_is_running();

/// CUDA's text for an error.
const char* error_text(cudaError_t error);

/// cublas.cpp: its handles.
void count_cublas(Live& result);
void reset_cublas();

/// The frame of an API function: lock, count, check, `body`, remember.
template <class Body>
cudaError_t api(const char* function, Needs needs, Body body) {
  refuse_in_kernel(function);
  const std::lock_guard lock(runtime_mutex());
  cudaError_t error = begin_call(function, needs);
  if (error == cudaSuccess) error = body();
  return end_call(error != cudaSuccess || needs == Needs::nothing ? error : sticky_error());
}

template <class Body>
cudaError_t api(const char* function, Body body) {
  return api(function, Needs::healthy_device, body);
}

}  // namespace emulator
