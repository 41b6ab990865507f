#include "device/cuda/check.hpp"

#include <string>

namespace seqgpu::device::cuda {
namespace {

std::string place(const std::source_location& at) {
  const std::string file = at.file_name();
  const std::size_t host = file.rfind("host/");
  return " (" + (host == std::string::npos ? file : file.substr(host)) + ":" + std::to_string(at.line()) + ")";
}

struct CublasText {
  cudaError_t code;  // what the same trouble is called by the runtime
  const char* name;
};
CublasText text_of(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_ALLOC_FAILED: return {cudaErrorMemoryAllocation, "CUBLAS_STATUS_ALLOC_FAILED"};
    case CUBLAS_STATUS_EXECUTION_FAILED: return {cudaErrorLaunchFailure, "CUBLAS_STATUS_EXECUTION_FAILED"};
    case CUBLAS_STATUS_NOT_INITIALIZED: return {cudaErrorInitializationError, "CUBLAS_STATUS_NOT_INITIALIZED"};
    case CUBLAS_STATUS_NOT_SUPPORTED: return {cudaErrorNotSupported, "CUBLAS_STATUS_NOT_SUPPORTED"};
    case CUBLAS_STATUS_INVALID_VALUE: return {cudaErrorInvalidValue, "CUBLAS_STATUS_INVALID_VALUE"};
    case CUBLAS_STATUS_ARCH_MISMATCH: return {cudaErrorNoKernelImageForDevice, "CUBLAS_STATUS_ARCH_MISMATCH"};
    default: return {cudaErrorUnknown, "a cuBLAS error"};
  }
}

}  // namespace

void check(cudaError_t error, const char* doing, std::source_location at) {
  if (error == cudaSuccess) return;
  throw kernels::CudaError(
      error, std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error) + ", while " + doing + place(at));
}

void check(cublasStatus_t status, const char* doing, std::source_location at) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  const CublasText text = text_of(status);
  throw kernels::CudaError(text.code, std::string(text.name) + " [" + std::to_string(static_cast<int>(status)) +
                                          "], while " + doing + place(at));
}

}  // namespace seqgpu::device::cuda
