#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block/fault.hpp"

struct CUstream_st;

// Rows of a table, and the gradient of the table.
namespace seqgpu::kernels {

struct GatherArgs {
  const float* table;       // [V, E]
  const std::int32_t* ids;  // [count]; one outside [0, V) is reported and gives a row of zeros
  float* y;                 // [count, E]
  std::int64_t V, E, count;
  FaultSink faults;
};
void gather(const GatherArgs& args, CUstream_st* stream);

struct GatherBackwardArgs {
  const std::int32_t* ids;  // [count]; one outside [0, V) is reported and does nothing else
  const float* dy;          // [count, E]
  float* dtable;            // [V, E]
  std::int64_t V, E, count;
  void* workspace;  // gather_backward_workspace()
  FaultSink faults;
};
inline constexpr std::int64_t kGatherBackwardMost = std::int64_t{1} << 31;  // count and V lie below
std::size_t gather_backward_workspace(std::int64_t V, std::int64_t count);
void gather_backward(const GatherBackwardArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
