#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "device/cuda/resources.hpp"
#include "device/device.hpp"
#include "kernels/block/error.hpp"

namespace seqgpu::device::cuda {

/// For accepts(): what `ask` finds against a launch, with the device that the limits are of made current; CUDA's own
/// words where it does not answer. Limits of no device are not asked about.
template <class Ask>
std::string ask_device(const Limits& limits, Ask ask) {
  if (limits.device < 0) return {};
  try {
    const DeviceGuard guard(limits.device);
    return ask();
  } catch (const kernels::CudaError& error) {
    static_cast<void>(cudaGetLastError());
    return error.what();
  }
}

}  // namespace seqgpu::device::cuda
