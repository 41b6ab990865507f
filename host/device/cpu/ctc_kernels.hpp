#pragma once

#include <cstdint>
#include <type_traits>

// The inner loops of CTC, one table per instruction set; see dispatch.hpp.
//
// State s of a frame is the number m * 2^k: no range to run out of, and no logarithm in the recursion. Blanks (states
// 2i) and labels (states 2i+1) are apart, so that a neighbour is one element further. A row, a frame's states, holds
// four arrays of `width` elements: m of blanks, m of labels, k of blanks, k of labels. Only packs with states that lie
// on some path are written; beside them a pack of zeros.
namespace seqgpu::device::cpu {

template <class T>
using CtcExponent = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;

inline constexpr std::int64_t kCtcDead = -(std::int64_t{1} << 30);  // exponent of 0
inline constexpr std::int64_t kCtcLive = -(std::int64_t{1} << 29);  // exponents below are taken for 0
/// Added to the exponent where a label must not follow the one before it. Twice kCtcDead less a positive exponent,
/// which frames' large numbers make, would be no i32.
inline constexpr std::int64_t kCtcSkip = kCtcDead + (1 << 16);
/// Frames after which mantissas are brought back to [1, 2): one grows at most 4.7 times a frame.
inline constexpr std::int64_t kCtcNormalise = 16;
/// Elements behind an array that are read in whole packs.
template <class T>
inline constexpr std::int64_t kCtcGuard = 64 / static_cast<std::int64_t>(sizeof(T));

/// Where the parts of a row are, in elements.
struct CtcRow {
  std::int64_t width = 0;  // labels + 1, padded to whole packs

  std::int64_t part(int i) const { return i * width; }
  std::int64_t blank_m() const { return part(0); }
  std::int64_t label_m() const { return part(1); }
  std::int64_t blank_k() const { return part(2); }
  std::int64_t label_k() const { return part(3); }
  std::int64_t elements() const { return part(4); }
};

/// One sequence.
template <class T>
struct CtcSource {
  const T* x = nullptr;     // its frame 0
  std::int64_t stride = 0;  // elements of x from a frame to the next
  std::int64_t frames = 0, C = 0, U = 0;
  CtcRow row;
  const std::int32_t* classes = nullptr;   // [width]: of label i; from U on the blank
  const CtcExponent<T>* places = nullptr;  // [width]: of the classes, as places() left them
  const CtcExponent<T>* skip = nullptr;    // [width + kCtcGuard]: 0, or kCtcSkip where label i equals label i - 1
  bool log_probs = false;
  bool read = false;                     // the statistics below are there already
  T *largest = nullptr, *sum = nullptr;  // [frames]: exp(x - largest) sums to `sum`; may be absent
  std::int64_t statistic = 1;            // elements of them from a frame to the next
};

/// What one frame emits, label by label, and the blank: p(class) = m * 2^k * e^scale.
template <class T>
struct CtcEmission {
  T* m = nullptr;               // [width]
  CtcExponent<T>* k = nullptr;  // [width]
  T blank_m = 0;
  CtcExponent<T> blank_k = 0;
  double scale = 0;
  T largest = 0, sum = 0;  // as in CtcSource
};

/// A sequence's frames before its middle, and the others. Alpha walks through the first half from the first frame, beta
/// through the second from the last. They meet; then beta crosses the first half and alpha the second.
enum class CtcHalf : std::uint8_t { first, second };

/// Frames [begin, end) of a half, and its own recursion there. Blocks are counted from the outside; all but the one at
/// the middle are multiples of kCtcNormalise.
template <class T>
struct CtcBlock {
  CtcHalf half = CtcHalf::first;
  std::int64_t begin = 0, end = 0;
  CtcEmission<T>* emissions = nullptr;  // [end - begin]
  const T* entry = nullptr;             // the row it comes in with, normalised
  std::int64_t power = 0;               // of two, taken from that row; after walk() from `exit`
  double scale = 0;                     // walk(): ln of what is taken from all rows besides
  T* rows = nullptr;                    // again(): [end - begin], in its order; walk(): [2]
  std::int64_t* powers = nullptr;       // again(): [end - begin], taken from them
  T* exit = nullptr;                    // walk(): the row it leaves with, normalised

  std::int64_t frames() const { return end - begin; }
};

/// The other half's recursion on its way through a half, from the middle on.
template <class T>
struct CtcCrossing {
  const T* row = nullptr;  // the latest
  std::int64_t power = 0;  // taken from it
  std::int64_t steps = 0;  // frames crossed
  T* rows[2] = {};
};

/// p(target | x) in the numbers of the recursions: p * 2^exponent.
template <class T>
struct CtcMeeting {
  T p = 0;
  std::int64_t exponent = 0;
};

/// What the way back writes, each the sequence's own frame 0 or absent.
template <class T>
struct CtcOutputs {
  T* gradient = nullptr;    // frames as far apart as x's, which it may be
  T scale = 0;              // factor of the gradient
  T* posteriors = nullptr;  // by class, frames as far apart as x's; zeros before
  T* alignment = nullptr;   // by state; zeros before
  std::int64_t alignment_stride = 0;
  T *blank = nullptr, *label = nullptr;  // [width], scratch
};

template <class T>
struct CtcKernels {
  /// Where reading finds each class among the packs of a frame.
  void (*places)(std::int64_t C, const std::int32_t* classes, std::int64_t count, CtcExponent<T>* places);
  /// Emissions of a block, in the order in which blocks follow each other: `up`, or from the end.
  /// @param gradient  null or frame 0, where exp(x - largest) is left for cross() if rows are short
  void (*read)(const CtcSource<T>& s, const CtcBlock<T>& block, bool up, T* gradient);
  /// The recursion of the block's half over the block, from `entry` to `exit`.
  void (*walk)(const CtcSource<T>& s, CtcBlock<T>* block);
  /// The same once more, keeping every row.
  void (*again)(const CtcSource<T>& s, CtcBlock<T>* block);
  /// The other half's recursion over again()'s block.
  /// @param exponent  of p(target | x) in the numbers of the recursion
  void (*cross)(const CtcSource<T>& s, const CtcBlock<T>& block, CtcCrossing<T>* crossing, std::int64_t exponent,
                const CtcOutputs<T>& outputs);
  /// Alpha before frame t and beta from it on, both normalised.
  CtcMeeting<T> (*meet)(const CtcSource<T>& s, std::int64_t t, const T* alpha, const T* beta);
};

}  // namespace seqgpu::device::cpu
