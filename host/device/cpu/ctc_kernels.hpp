#pragma once

#include <cstdint>
#include <type_traits>

// The inner loops of CTC, one table per instruction set; see dispatch.hpp.
//
// State s of a frame is the number m * 2^k: no range to run out of, and no logarithm in the recursion. Blanks (states
// 2i) and labels (states 2i+1) are apart, so that a neighbour is one element further. A row holds four arrays of
// `width` elements, each behind a guard that is never reached: m of blanks, m of labels, k of blanks, k of labels.
namespace seqgpu::device::cpu {

template <class T>
using CtcExponent = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

inline constexpr std::int64_t kCtcDead = -(std::int64_t{1} << 30);  // exponent of 0
inline constexpr std::int64_t kCtcLive = -(std::int64_t{1} << 29);  // exponents below are taken for 0
/// Frames between two calls of normalise(): a mantissa grows at most 4.7 times a frame.
inline constexpr std::int64_t kCtcNormalise = 16;

/// Where the parts of a row are, in elements.
template <class T>
struct CtcRow {
  static constexpr std::int64_t kGuard = 64 / static_cast<std::int64_t>(sizeof(T));
  std::int64_t width = 0;  // labels + 1, padded to a multiple of kGuard

  std::int64_t part(int i) const { return kGuard + i * (width + kGuard); }
  std::int64_t blank_m() const { return part(0); }
  std::int64_t label_m() const { return part(1); }
  std::int64_t blank_k() const { return part(2); }
  std::int64_t label_k() const { return part(3); }
  std::int64_t elements() const { return part(4); }
};

/// What one frame emits: label by label, and the blank. The largest has exponent 0.
template <class T>
struct CtcEmission {
  T* m = nullptr;               // [width]
  CtcExponent<T>* k = nullptr;  // [width]
  T blank_m = 0;
  CtcExponent<T> blank_k = 0;
  double scale = 0;  // exp(x) = m * 2^k * e^scale
};

/// One frame's product of alpha and beta; afterwards the posteriors.
template <class T>
struct CtcPosterior {
  T* blank = nullptr;                 // [width]
  T* label = nullptr;                 // [width]
  CtcExponent<T>* blank_k = nullptr;  // [width]
  CtcExponent<T>* label_k = nullptr;  // [width]
};

template <class T>
struct CtcKernels {
  /// largest = max x and sum = sum exp(x - largest); sum is NaN where x has a NaN or +infinity, or is all -infinity.
  void (*softmax_sums)(const T* x, std::int64_t count, T* largest, T* sum);
  /// y = scale * exp(x - largest)
  void (*softmax)(const T* x, std::int64_t count, T largest, T scale, T* y);
  /// e's numbers from x [labels + 1], of which the last is the blank's; 0 from there to `width`.
  void (*emissions)(const T* x, std::int64_t labels, std::int64_t width, CtcEmission<T>* e);
  /// alpha at t from alpha at t - 1. @param skip  [width + 1]: 0, or kCtcDead where label i equals label i - 1
  void (*alpha)(CtcRow<T> row, const CtcExponent<T>* skip, const CtcEmission<T>& e, const T* from, T* to);
  /// beta at t, times what t emits, from the same at t + 1; with `p`, posteriors at t, which sum to 1.
  /// @return the sum of the blanks' posteriors
  T(*beta)
  (CtcRow<T> row, const CtcExponent<T>* skip, const CtcEmission<T>& e, const T* from, T* to, const T* alpha,
   const CtcPosterior<T>* p);
  /// Mantissas into [1, 2) and the largest exponent to 0. @return what that took away from the exponents
  std::int64_t (*normalise)(CtcRow<T> row, T* values);
};

}  // namespace seqgpu::device::cpu
