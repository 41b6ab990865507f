#pragma once

#include <cstddef>
#include <cstdint>

struct CUstream_st;

// Sum, mean or maximum over one axis of x [outer, extent, inner], and the gradient.
namespace seqgpu::kernels {

enum class ReduceKind : int { sum, mean, max };

struct ReduceArgs {
  const float* x;  // [outer, extent, inner]
  float* y;        // [outer, inner]
  std::int64_t outer, extent, inner;
  ReduceKind kind;
  void* workspace;  // reduce_workspace()
};
std::size_t reduce_workspace(std::int64_t outer, std::int64_t extent, std::int64_t inner);
void reduce(const ReduceArgs& args, CUstream_st* stream);

struct ReduceBackwardArgs {
  const float* x;   // max only
  const float* dy;  // [outer, inner]
  float* dx;        // [outer, extent, inner]
  std::int64_t outer, extent, inner;
  ReduceKind kind;
};
void reduce_backward(const ReduceBackwardArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
