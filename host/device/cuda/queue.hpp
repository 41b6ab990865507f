#pragma once

#include <cuda_runtime_api.h>

#include "device/cuda/resources.hpp"
#include "device/device.hpp"
#include "kernels/block/fault.hpp"

namespace seqgpu::device::cuda {

/// What Arguments::queue points to: where one launch sends its work. Everything a launch does must go to `stream` and
/// be legal while the stream is captured: no allocation, no synchronisation, no query. The queue itself is gone when
/// launch() returns; `faults` is copied into kernel arguments.
struct Queue {
  cudaStream_t stream = nullptr;
  Blas* blas = nullptr;       // of this stream; use blas.hpp
  kernels::FaultSink faults;  // of this launch; see kernels/block/fault.hpp
  const Limits* limits = nullptr;
};

inline Queue& queue_of(const Arguments& arguments) { return *static_cast<Queue*>(arguments.queue); }

}  // namespace seqgpu::device::cuda
