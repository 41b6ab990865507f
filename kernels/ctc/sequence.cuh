#pragma once

#include "kernels/block/ragged.cuh"
#include "kernels/block/row_group.cuh"
#include "kernels/ctc/number.cuh"

// What comes before the recursion, for one sequence or one frame: lengths and labels are checked, and frames are read.
namespace seqgpu::kernels {

struct Smallest {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return b < a ? b : a;
  }
  template <class T>
  static __device__ __forceinline__ constexpr T identity() {
    return static_cast<T>(~(T(1) << (8 * sizeof(T) - 1)));
  }
};

/// Where a target begins, if all before it are legal. Called by the whole block.
__device__ inline std::int64_t ctc_first_label(const CtcForwardArgs& a, std::int64_t n) {
  if (!a.shape.concatenated) return n * a.shape.L;
  std::int64_t before = 0;
  for (std::int64_t i = threadIdx.x; i < n; i += blockDim.x) before += length_of(a.target_lengths, i, a.shape.L);
  return block_sum(before);
}

/// Checks sequence n. One that is illegal has no labels and no frames, so nothing of it is read. By the whole block.
__device__ inline CtcSequence ctc_sequence(const CtcForwardArgs& a, std::int64_t n) {
  const CtcShape& z = a.shape;
  CtcSequence s = {};
  s.negative_log = HUGE_VAL;
  s.first = ctc_first_label(a, n);
  s.frames = a.input_lengths ? a.input_lengths[n] : z.T;
  s.labels = a.target_lengths ? a.target_lengths[n] : z.L;
  if (s.frames < 0 || s.frames > z.T) {
    s.fault = CtcFault::input_length;
    s.bad = s.frames;
  } else if (s.labels < 0 || s.labels > z.L) {
    s.fault = CtcFault::target_length;
    s.bad = s.labels;
  } else if (z.concatenated && s.first + s.labels > z.L) {
    s.fault = CtcFault::too_many;
    s.bad = s.first + s.labels;
  }
  if (s.fault == CtcFault::none) {
    const std::int32_t* target = a.targets + s.first;
    std::int64_t bad = Smallest::identity<std::int64_t>(), repeats = 0;
    for (std::int64_t u = threadIdx.x; u < s.labels; u += blockDim.x) {
      const std::int32_t label = target[u];
      if ((label < 0 || label >= z.C || label == z.blank) && u < bad) bad = u;
      repeats += u > 0 && label == target[u - 1];
    }
    bad = block_reduce(bad, Smallest{});
    s.needed = s.labels + block_sum(repeats);
    if (bad < s.labels) {
      s.fault = CtcFault::label;
      s.at = bad;
      s.bad = target[bad];
    }
  }
  if (s.fault != CtcFault::none) {
    s.labels = s.frames = s.needed = 0;
    if (s.first > z.L * (z.concatenated ? 1 : z.N)) s.first = 0;
  }
  return s;
}

__device__ inline bool ctc_possible(const CtcSequence& s) { return s.fault == CtcFault::none && s.frames >= s.needed; }

/// Who comes how far in `order`: a label's rank is counted, which is less work than one pass over the frames.
__device__ inline void ctc_order_labels(const CtcForwardArgs& a, const CtcSequence& s) {
  const std::int32_t* target = a.targets + s.first;
  for (std::int64_t u = threadIdx.x; u < s.labels; u += blockDim.x) {
    const std::int32_t label = target[u];
    std::int64_t rank = 0;
#pragma unroll 4
    for (std::int64_t v = 0; v < s.labels; ++v) rank += target[v] < label || (target[v] == label && v < u);
    a.kept.order[s.first + rank] = static_cast<std::int32_t>(u);
  }
}

__device__ inline float* ctc_columns(const CtcShape& z, const CtcKept& kept, const CtcSequence& s, std::int64_t n,
                                     std::int64_t t) {
  return kept.columns + z.T * (s.first + n) + t * (s.labels + 1);
}

/// Reads frame t of sequence n: what its softmax takes, the columns of the target, what the blank emits. Called by
/// whole warps, and by the whole block where lanes > 32; the sums depend on C alone.
__device__ inline void ctc_read_frame(const CtcForwardArgs& a, const CtcSequence& s, std::int64_t n, std::int64_t t,
                                      int lane, int lanes, bool active) {
  const CtcShape& z = a.shape;
  const float* x = a.x + (t * z.N + n) * z.C;
  float largest = 0.f, sum = 1.f;
  if (!z.from_log_probs) {
    const std::int64_t count = active ? z.C : 0;
    largest = -HUGE_VALF;
#pragma unroll 4
    for (std::int64_t c = lane; c < count; c += lanes) largest = fmaxf(largest, x[c]);
    largest = fold_lanes(lanes, largest, Max{});
    sum = 0.f;
#pragma unroll 4
    for (std::int64_t c = lane; c < count; c += lanes) sum += expf(x[c] - largest);
    sum = fold_lanes(lanes, sum, Sum{});
  }
  const std::int32_t* target = a.targets + s.first;
  float* columns = ctc_columns(z, a.kept, s, n, t);
  float top = active ? x[z.blank] : 0.f;
  int illegal = !(top < HUGE_VALF);
  for (std::int64_t u = lane; active && u < s.labels; u += lanes) {
    const float column = x[target[u]];
    columns[u] = column;
    top = fmaxf(top, column);
    illegal += !(column < HUGE_VALF);
  }
  top = fold_lanes(lanes, top, Max{});
  illegal = fold_lanes(lanes, illegal, Sum{});
  if (!active || lane != 0) return;
  // As exponentials of logits say of themselves: what is no number, or infinite, makes none.
  if (z.from_log_probs && illegal > 0) sum = NAN;
  const std::int64_t at = n * z.T + t;
  a.kept.largest[at] = largest;
  a.kept.sum[at] = sum;
  a.scratch.frames[at] = ctc_frame(top, x[z.blank]);
}

}  // namespace seqgpu::kernels
