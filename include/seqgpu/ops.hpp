#pragma once

#include <cstdint>
#include <span>

#include "seqgpu/cell.hpp"
#include "seqgpu/graph.hpp"

namespace seqgpu {

// Every function checks its arguments, adds nodes to the graph of its first argument and returns the result's Value.
// All throw Error{invalid_argument} that names the argument, and the expected and found shape by axis. Floating tensors
// are f32 (or f64 on the CPU); all floating arguments of one operation share a dtype.

/// Rows of a table. @param table [V, E]  @param ids [...], i32, 0 <= id < V  @return [..., E]
SEQGPU_API Value embedding(Value table, Value ids);

/// a [M, K] times b [K, N]; `transpose_b` takes b as [N, K]. Leading axes of a beyond the last count as rows.
SEQGPU_API Value matmul(Value a, Value b, bool transpose_b = false);

/// x [..., I] times weight [O, I] transposed, plus bias [O] if given (PyTorch's layout). @return [..., O]
SEQGPU_API Value linear(Value x, Value weight, Value bias = {});

/// Elementwise; b has a's shape, or a suffix of it and is repeated over the leading axes.
SEQGPU_API Value add(Value a, Value b);
SEQGPU_API Value mul(Value a, Value b);

/// scale * x + shift
SEQGPU_API Value affine(Value x, float scale, float shift = 0.f);

SEQGPU_API Value activate(Value x, Activation activation);
inline Value tanh(Value x) { return activate(x, Activation::tanh); }
inline Value sigmoid(Value x) { return activate(x, Activation::sigmoid); }
inline Value relu(Value x) { return activate(x, Activation::relu); }

/// Joins along `axis` (negative counts from the end); other extents agree.
SEQGPU_API Value concat(std::span<const Value> parts, int axis = -1);
/// Elements [begin, end) of `axis`.
SEQGPU_API Value slice(Value x, int axis, std::int64_t begin, std::int64_t end);

/// Joins steps t-radius .. t+radius of each sequence; steps outside the sequence are zero.
/// @param x [T, N, E]  @param lengths [N] i32 or absent  @return [T, N, (2*radius+1)*E]
SEQGPU_API Value context_window(Value x, int radius, Value lengths = {});

/// Inverted dropout (Srivastava et al. 2014): zero with probability `rate`, else divide by 1-rate. Does nothing
/// outside training. `shared_steps` draws one mask for all steps of x [T, N, E] (Gal & Ghahramani 2016). The mask is
/// Philox 4x32-10 keyed by (seed, node, step), the same on every device.
SEQGPU_API Value dropout(Value x, float rate, bool shared_steps = false);

/// Along the last axis.
SEQGPU_API Value softmax(Value x);
SEQGPU_API Value log_softmax(Value x);

enum class Reduction : std::uint8_t { sum, mean, max };
/// Reduces one axis away; a tie in max goes to the lowest index. max of an empty axis is refused.
SEQGPU_API Value reduce(Value x, Reduction reduction, int axis);
/// Reduces all axes to a scalar.
SEQGPU_API Value reduce_all(Value x, Reduction reduction);

struct CrossEntropyOptions {
  std::int32_t ignore_index = -100;  ///< labels with this value do not count
  float label_smoothing = 0.f;       ///< (1-s) on the label plus s/K on every class (Szegedy et al. 2016)
};
/// Mean over counted positions of -log softmax(logits)[label]; 0 when none counts.
/// @param logits [..., K], or [T, N, K] with lengths  @param labels [...] i32  @param lengths [N] i32 or absent
SEQGPU_API Value cross_entropy(Value logits, Value labels, Value lengths = {}, const CrossEntropyOptions& options = {});

/// Mean of (x - target)^2 over valid elements. @param lengths [N] for x [T, N, ...], or absent
SEQGPU_API Value mean_squared_error(Value x, Value target, Value lengths = {});

}  // namespace seqgpu
