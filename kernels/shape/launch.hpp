#pragma once

#include <cstdint>

#include "kernels/block/fault.hpp"

struct CUstream_st;

// Operations that move elements: concat, slice, context window.
namespace seqgpu::kernels {

/// Row r: `width` elements of from + r * from_stride go to to + r * to_stride.
struct RowsPart {
  const float* from;
  float* to;
  std::int64_t from_stride, to_stride, width;
};
inline constexpr int kRowsParts = 8;  // of one launch
struct CopyRowsArgs {
  RowsPart parts[kRowsParts];
  int count;  // of parts
  std::int64_t rows;
};
/// concat: one part for each input. slice: one part.
void copy_rows(const CopyRowsArgs& args, CUstream_st* stream);

struct PadRowsArgs {  // the gradient of a slice: zero outside [begin, end)
  const float* dy;    // [rows, end - begin]
  float* dx;          // [rows, width]
  std::int64_t rows, width, begin, end;
};
void pad_rows(const PadRowsArgs& args, CUstream_st* stream);

struct WindowArgs {
  const float* x;               // [T, N, E]
  const std::int32_t* lengths;  // [N] or null
  float* y;                     // [T, N, 2*radius+1, E]
  std::int64_t T, N, E, radius;
  FaultSink faults;
};
void window(const WindowArgs& args, CUstream_st* stream);

struct WindowBackwardArgs {
  const float* dy;              // [T, N, 2*radius+1, E]
  const std::int32_t* lengths;  // [N] or null
  float* dx;                    // [T, N, E]
  std::int64_t T, N, E, radius;
  FaultSink faults;
};
void window_backward(const WindowBackwardArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
