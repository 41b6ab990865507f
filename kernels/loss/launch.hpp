#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block/fault.hpp"

struct CUstream_st;

// Cross-entropy and squared error over ragged batches. Row r is step r / N of sequence r % N and counts while it lies
// within lengths[r % N]; rows that do not count are never read, and their gradients are 0.
namespace seqgpu::kernels {

struct CrossEntropyArgs {
  const float* logits;          // [rows, K]
  const std::int32_t* labels;   // [rows]; ignore_index does not count
  const std::int32_t* lengths;  // [N] or null
  float* loss;                  // [] mean over the rows that count, 0 if none does
  float* lse;                   // [rows] log-sum-exp of each row that counts, else 0; or null
  std::int64_t rows, N, K;
  std::int32_t ignore_index;
  float smoothing;
  void* workspace;  // kLossWorkspace bytes
  FaultSink faults;
};
inline constexpr std::size_t kLossWorkspace = 8192;
void cross_entropy(const CrossEntropyArgs& args, CUstream_st* stream);

struct CrossEntropyBackwardArgs {  // illegal labels and lengths were reported by the forward pass
  const float* logits;             // [rows, K]
  const std::int32_t* labels;      // [rows]
  const std::int32_t* lengths;     // [N] or null
  const float* lse;                // [rows]
  const float* dloss;              // []
  float* dlogits;                  // [rows, K]; may be logits
  std::int64_t rows, N, K;
  std::int32_t ignore_index;
  float smoothing;
  void* workspace;  // kLossWorkspace bytes
};
void cross_entropy_backward(const CrossEntropyBackwardArgs& args, CUstream_st* stream);

struct SquaredErrorArgs {
  const float* x;               // [rows, width]
  const float* target;          // [rows, width]
  const std::int32_t* lengths;  // [N] or null
  float* loss;                  // []
  std::int64_t rows, N, width;
  void* workspace;  // kLossWorkspace bytes
  FaultSink faults;
};
void squared_error(const SquaredErrorArgs& args, CUstream_st* stream);

struct SquaredErrorBackwardArgs {
  const float* x;               // [rows, width]
  const float* target;          // [rows, width]
  const std::int32_t* lengths;  // [N] or null
  const float* dloss;           // []
  float* dx;                    // [rows, width]
  std::int64_t rows, N, width;
  void* workspace;  // kLossWorkspace bytes
  FaultSink faults;
};
void squared_error_backward(const SquaredErrorBackwardArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
