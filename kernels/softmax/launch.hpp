#pragma once

#include <cstdint>

struct CUstream_st;

// Softmax and log-softmax along rows, and their gradients. y may be x; dx may be y or dy.
namespace seqgpu::kernels {

struct SoftmaxArgs {
  const float* x;  // [rows, columns]
  float* y;
  std::int64_t rows, columns;
  bool log;
};
void softmax(const SoftmaxArgs& args, CUstream_st* stream);

struct SoftmaxBackwardArgs {
  const float* y;  // [rows, columns], the result
  const float* dy;
  float* dx;
  std::int64_t rows, columns;
  bool log;
};
void softmax_backward(const SoftmaxBackwardArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
