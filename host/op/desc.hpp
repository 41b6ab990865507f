#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "op/ctc_desc.hpp"
#include "op/recurrent_desc.hpp"
#include "seqgpu/cell.hpp"
#include "seqgpu/dtype.hpp"

// Plain descriptions of operations: sizes and options, no pointers. The comment after each gives inputs -> outputs.
namespace seqgpu::op {

struct FillDesc {  // -> y [count]
  DType dtype;
  std::int64_t count;
  double value;
};
struct CopyDesc {  // x -> y
  DType dtype;
  std::int64_t count;
};
struct GatherDesc {  // table [V, E], ids [count] -> y [count, E]
  DType dtype;
  std::int64_t vocabulary, width, count;
};
struct GatherBackwardDesc {  // ids [count], dy [count, E] -> dtable [V, E]
  DType dtype;
  std::int64_t vocabulary, width, count;
};
struct MatmulDesc {  // a [m, k] (or [k, m]), b [k, n] (or [n, k]), bias [n] -> y [m, n]
  DType dtype;
  std::int64_t m, n, k;
  bool transpose_a, transpose_b;
};
struct BinaryDesc {  // a [count], b [inner] -> y [count]
  enum class Kind : std::uint8_t { add, mul } kind;
  DType dtype;
  std::int64_t count, inner;
};
struct AffineDesc {  // x -> scale * x + shift
  DType dtype;
  std::int64_t count;
  float scale, shift;
};
struct ActivationDesc {  // x -> y
  DType dtype;
  std::int64_t count;
  Activation activation;
};
struct ActivationBackwardDesc {  // y, dy -> dx
  DType dtype;
  std::int64_t count;
  Activation activation;
};
struct ConcatDesc {  // parts [outer, extents[i], inner] -> y
  DType dtype;
  std::int64_t outer, inner;
  std::vector<std::int64_t> extents;
};
struct SliceDesc {  // x [outer, extent, inner] -> y [outer, end-begin, inner]
  DType dtype;
  std::int64_t outer, extent, inner, begin, end;
};
struct SliceBackwardDesc {  // dy -> dx, zero outside [begin, end)
  DType dtype;
  std::int64_t outer, extent, inner, begin, end;
};
struct WindowDesc {  // x [T, N, E], lengths [N] -> y [T, N, (2*radius+1)*E]
  DType dtype;
  std::int64_t T, N, E;
  int radius;
};
struct WindowBackwardDesc {  // dy, lengths -> dx
  DType dtype;
  std::int64_t T, N, E;
  int radius;
};
struct DropoutDesc {  // x, step -> y; its own backward. mask index: element % period
  DType dtype;
  std::int64_t count, period;
  float rate;
  std::uint64_t seed, stream;
};
struct SoftmaxDesc {  // x [rows, cols] -> y
  DType dtype;
  std::int64_t rows, cols;
  bool log;
};
struct SoftmaxBackwardDesc {  // y, dy -> dx
  DType dtype;
  std::int64_t rows, cols;
  bool log;
};
struct ReduceDesc {  // x [outer, extent, inner] -> y [outer, inner]
  enum class Kind : std::uint8_t { sum, mean, max } kind;
  DType dtype;
  std::int64_t outer, extent, inner;
};
struct ReduceBackwardDesc {  // x (max only), dy -> dx
  ReduceDesc::Kind kind;
  DType dtype;
  std::int64_t outer, extent, inner;
};
struct CrossEntropyDesc {  // logits [rows, K], labels [rows], lengths [N] -> loss [], log-sum-exp [rows]
  DType dtype;
  std::int64_t rows, N, K;  // row r is step r / N of sequence r % N
  std::int32_t ignore_index;
  float smoothing;
};
struct CrossEntropyBackwardDesc {  // logits, labels, lengths, log-sum-exp, dloss -> dlogits
  DType dtype;
  std::int64_t rows, N, K;
  std::int32_t ignore_index;
  float smoothing;
};
struct SquaredErrorDesc {  // x [rows, width], target, lengths [N] -> loss []
  DType dtype;
  std::int64_t rows, N, width;
};
struct SquaredErrorBackwardDesc {  // x, target, lengths, dloss -> dx
  DType dtype;
  std::int64_t rows, N, width;
};
struct GradientNormDesc {  // flat gradient [count] (and each slice, for order) -> writes Control
  DType dtype;
  std::int64_t count;
};
struct OptimizerDesc {  // parameters, gradient, moment 1, moment 2, average, control: in place
  enum class Kind : std::uint8_t { sgd, momentum, rms_prop, adagrad, adam, adam_w } kind;
  DType dtype;
  std::int64_t count;
  float rate, beta1, beta2, epsilon;
  bool nesterov;
  float clip_norm, clip_value, weight_decay, ema_decay;
};

/// One cache line of device memory that every program of a trainer shares.
struct Control {
  std::int64_t step = 0;     // updates tried so far; the Philox counter
  std::int64_t updates = 0;  // updates made: Adam's t
  std::int64_t skipped = 0;  // updates skipped for a non-finite gradient
  std::int64_t finite = 1;   // of the last gradient
  double norm = 0;           // of the last gradient, before clipping
  double rate_factor = 1;    // from the schedule
  double weight = 1;         // of a batch whose gradients are accumulated: what backward starts from; in f32 below
  float weight_f32 = 1.f;
  float reserved = 0.f;
};
static_assert(sizeof(Control) == 64);

using AnyDesc =
    std::variant<FillDesc, CopyDesc, GatherDesc, GatherBackwardDesc, MatmulDesc, BinaryDesc, AffineDesc, ActivationDesc,
                 ActivationBackwardDesc, ConcatDesc, SliceDesc, SliceBackwardDesc, WindowDesc, WindowBackwardDesc,
                 DropoutDesc, SoftmaxDesc, SoftmaxBackwardDesc, ReduceDesc, ReduceBackwardDesc, CrossEntropyDesc,
                 CrossEntropyBackwardDesc, SquaredErrorDesc, SquaredErrorBackwardDesc, RecurrentForwardDesc,
                 RecurrentBackwardDesc, GradientNormDesc, OptimizerDesc, CtcForwardDesc, CtcBackwardDesc>;

/// "matmul", "recurrent_backward", ...
const char* name_of(const AnyDesc& desc);
/// Rough cost in floating-point operations; steers who works on what, and no result.
double cost_of(const AnyDesc& desc);
/// True if output 0 may overwrite input 0 element by element.
bool in_place(const AnyDesc& desc);
/// The name of the caller's option by which it must, or null.
const char* in_place_option(const AnyDesc& desc);

}  // namespace seqgpu::op
