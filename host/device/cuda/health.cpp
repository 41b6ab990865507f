#include "device/cuda/health.hpp"

#include <cuda_runtime_api.h>

namespace seqgpu::device::cuda {
namespace {

/// True if the error stays: the runtime then answers every call with it, also one that cannot fail.
bool is_sticky() {
  static_cast<void>(cudaGetLastError());
  cudaEvent_t event = nullptr;
  const cudaError_t probe = cudaEventCreateWithFlags(&event, cudaEventDisableTiming);
  if (probe == cudaSuccess) static_cast<void>(cudaEventDestroy(event));
  static_cast<void>(cudaGetLastError());
  return probe != cudaSuccess && probe != cudaErrorMemoryAllocation;
}

ErrorCode code_of(int error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return ErrorCode::out_of_memory;
    case cudaErrorNotSupported:
    case cudaErrorInvalidDeviceFunction:
    case cudaErrorNoKernelImageForDevice: return ErrorCode::unsupported;
    default: return ErrorCode::internal;
  }
}

}  // namespace

void Health::require(const char* operation) const {
  if (is_lost()) {
    throw Error(ErrorCode::device_lost, operation, "",
                "the GPU was lost before (" + cause_ + "); only a new process can use it again");
  }
}

Error Health::translate(const kernels::CudaError& error, const std::string& operation, const std::string& unfinished) {
  if (!is_sticky()) return Error(code_of(error.code), operation, "", error.what());
  if (!is_lost()) {
    cause_ = error.what();
    if (!unfinished.empty()) cause_ += "; oldest unfinished launch: " + unfinished;
  }
  return Error(ErrorCode::device_lost, operation, "",
               "the GPU is lost (" + cause_ + "); only a new process can use it again");
}

}  // namespace seqgpu::device::cuda
