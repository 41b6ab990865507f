#pragma once

#include <string>

#include "kernels/block/error.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::device::cuda {

/// Whether a device can still be used, and what CUDA's errors mean. Some (an illegal address, a failed launch) end the
/// process's use of the GPU: the first cause is kept, and every later call repeats it.
class Health {
 public:
  bool is_lost() const { return !cause_.empty(); }

  /// @throws Error{device_lost} with the first cause
  void require(const char* operation) const;

  /// What a failed call means to the caller: out_of_memory, unsupported, device_lost or internal. Clears the error
  /// where it can be cleared. No stream may be capturing.
  /// @param unfinished  the oldest launch that had not ended, as in "recurrent (stepwise)"; empty if unknown
  Error translate(const kernels::CudaError& error, const std::string& operation, const std::string& unfinished);

 private:
  std::string cause_;
};

}  // namespace seqgpu::device::cuda
