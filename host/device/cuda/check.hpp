#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <source_location>

#include "kernels/block/error.hpp"

namespace seqgpu::device::cuda {

/// @throws kernels::CudaError with the error's name, its text, and the place of the call. `doing` says what for.
void check(cudaError_t error, const char* doing, std::source_location at = std::source_location::current());
void check(cublasStatus_t status, const char* doing, std::source_location at = std::source_location::current());

}  // namespace seqgpu::device::cuda
