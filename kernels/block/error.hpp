#pragma once

#include <stdexcept>
#include <string>

namespace seqgpu::kernels {

/// A call of the CUDA runtime or of cuBLAS that failed. The device turns it into a seqgpu::Error, where the operation
/// is known; nothing else should catch it.
class CudaError : public std::runtime_error {
 public:
  /// @param code  a cudaError_t
  /// @param what  the call, and what CUDA says of it
  CudaError(int code, const std::string& what) : std::runtime_error(what), code(code) {}
  int code;
};

}  // namespace seqgpu::kernels
