#pragma once

#include <cstdint>

#include "seqgpu/cell.hpp"

struct CUstream_st;

// Elementwise operations. y may be the first input.
namespace seqgpu::kernels {

struct FillArgs {
  float* y;  // [count]
  std::int64_t count;
  float value;
};
void fill(const FillArgs& args, CUstream_st* stream);

struct AffineArgs {  // y = scale * x + shift
  const float* x;    // [count]
  float* y;
  std::int64_t count;
  float scale, shift;
};
void affine(const AffineArgs& args, CUstream_st* stream);

struct BinaryArgs {  // y = a + b or a * b
  const float* a;    // [count]
  const float* b;    // [inner], repeated
  float* y;
  std::int64_t count, inner;
  bool product;
};
void binary(const BinaryArgs& args, CUstream_st* stream);

struct ActivationArgs {
  const float* x;  // [count]
  float* y;
  std::int64_t count;
  Activation activation;
};
void activation(const ActivationArgs& args, CUstream_st* stream);

struct ActivationBackwardArgs {
  const float* dy;  // [count]
  const float* y;   // [count], the activation's value
  float* dx;
  std::int64_t count;
  Activation activation;
};
void activation_backward(const ActivationBackwardArgs& args, CUstream_st* stream);

struct DropoutArgs {  // y = x / (1 - rate) where uniform(key, *step, i % period) >= rate, else 0
  const float* x;     // [count]
  float* y;
  std::int64_t count, period;
  float rate, scale;  // scale: 1 / (1 - rate)
  std::uint64_t key;  // math::philox_key
  const std::int64_t* step;
};
void dropout(const DropoutArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
