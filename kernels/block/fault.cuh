#pragma once

#include "kernels/block/cuda.cuh"
#include "kernels/block/fault.hpp"

namespace seqgpu::kernels {

/// Notes that element `index` (below 2^32) of an argument holds the illegal `value`. Of several reports by one launch
/// the lowest index stays, whatever the order of threads.
__device__ inline void report_fault(const FaultSink& sink, FaultyArgument argument, long long index, int value) {
  if (!sink.launch) return;
  const unsigned long long note = static_cast<unsigned long long>(index) << 32 | static_cast<unsigned>(value);
  atomicMin(&sink.launch->first[static_cast<int>(argument)], note);
  atomicOr(sink.any, 1u);
}

/// True if an earlier launch of this program reported a fault. A kernel that changes what outlives the program (the
/// optimiser: parameters, moments, control) must then do nothing: the caller gets an Error for this step.
__device__ inline bool has_faulted(const FaultSink& sink) { return sink.any && *sink.any != 0; }

}  // namespace seqgpu::kernels
