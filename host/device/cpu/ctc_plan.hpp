#pragma once

#include <algorithm>

#include "device/cpu/ctc_kernels.hpp"
#include "device/cpu/dispatch.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "op/ctc_desc.hpp"

// Sizes and places of what CTC keeps on the CPU. All are functions of the shape, never of lengths or labels.
namespace seqgpu::device::cpu {

/// Frames between two checkpoints of alpha, whose block is computed again on the way back; a multiple of kCtcNormalise.
inline std::int64_t ctc_block(const op::CtcDesc& d) { return d.T <= 256 ? 16 : 32; }

/// One sequence of the batch.
struct CtcSequence {
  const std::int32_t* target = nullptr;  // [U]
  std::int64_t U = 0, frames = 0;
  std::int64_t needed = 0;  // frames
  std::int64_t before = 0;  // labels of the sequences before it
};

inline std::int64_t ctc_blocks(const op::CtcDesc& d) { return (d.T + ctc_block(d) - 1) / ctc_block(d); }

/// Pieces that one sequence's way back is cut into: a small batch must feed several threads.
inline std::int64_t ctc_pieces(const op::CtcDesc& d) {
  return d.N < 8 ? std::clamp<std::int64_t>(ctc_blocks(d) / 4, 1, 8) : 1;
}

inline std::int64_t ctc_labels(const op::CtcDesc& d) { return d.concatenated ? d.L : d.N * d.L; }

/// What forward leaves of one sequence.
template <class T>
struct CtcKept {
  enum class Gradient : std::int32_t { zero, finite, nan };
  Gradient* gradient = nullptr;      // [1]
  std::int64_t* exponent = nullptr;  // [1] of p(target | x) in the recursion's numbers
  T* checkpoints = nullptr;          // [blocks] rows: alpha before each block
  std::int64_t* powers = nullptr;    // [blocks] taken from them
  T* boundaries = nullptr;           // [pieces] rows: beta after each piece
  std::int64_t* taken = nullptr;     // [pieces] from them

  static CtcKept take(Carver& carver, const op::CtcDesc& d, std::int64_t U) {
    CtcKept k;
    const CtcRow row{padded<T>(U + 1)};
    const std::int64_t pieces = ctc_pieces(d) > 1 ? ctc_pieces(d) : 0;
    k.checkpoints = carver.take<T>(ctc_blocks(d) * row.elements());
    k.boundaries = carver.take<T>(pieces * row.elements());
    k.exponent = carver.take<std::int64_t>(1 + ctc_blocks(d) + pieces + 1);
    k.powers = k.exponent ? k.exponent + 1 : nullptr;
    k.taken = k.exponent ? k.powers + ctc_blocks(d) : nullptr;
    k.gradient = reinterpret_cast<Gradient*>(k.exponent ? k.taken + pieces : nullptr);
    return k;
  }
};

/// One piece's memory while it walks a block.
template <class T>
struct CtcScratch {
  CtcBlock<T> block;
  T* betas[2] = {};  // a row each
  T *blank = nullptr, *label = nullptr;

  static CtcScratch take(Carver& carver, const op::CtcDesc& d, CtcRow row) {
    CtcScratch s;
    const std::int64_t frames = std::min(ctc_block(d), d.T);
    s.block.alphas = carver.take<T>((frames + 1) * row.elements());
    for (T*& beta : s.betas) beta = carver.take<T>(row.elements());
    s.block.powers = carver.take<std::int64_t>(frames + 1);
    s.block.emissions = carver.take<CtcEmission<T>>(frames);
    T* m = carver.take<T>(frames * row.width);
    auto* k = carver.take<CtcExponent<T>>(frames * row.width);
    for (std::int64_t i = 0; i < (m ? frames : 0); ++i) {
      s.block.emissions[i] = CtcEmission<T>{};
      s.block.emissions[i].m = m + i * row.width;
      s.block.emissions[i].k = k + i * row.width;
    }
    s.blank = carver.take<T>(row.width);
    s.label = carver.take<T>(row.width);
    return s;
  }
};

/// One sequence's memory, forward and backward alike.
template <class T>
struct CtcTables {
  CtcRow row;
  std::int32_t* classes = nullptr;   // [width]
  CtcExponent<T>* places = nullptr;  // [width]
  CtcExponent<T>* skip = nullptr;    // [width + kCtcGuard]
  std::byte* scratch = nullptr;      // [pieces] CtcScratch
  std::size_t scratch_bytes = 0;     // of one

  static CtcTables take(Carver& carver, const op::CtcDesc& d, std::int64_t U) {
    CtcTables t;
    t.row.width = padded<T>(U + 1);
    t.classes = carver.take<std::int32_t>(t.row.width);
    t.places = carver.take<CtcExponent<T>>(t.row.width);
    t.skip = carver.take<CtcExponent<T>>(t.row.width + kCtcGuard<T>);
    Carver one;
    CtcScratch<T>::take(one, d, t.row);
    t.scratch_bytes = one.used;
    t.scratch = carver.take<std::byte>(ctc_pieces(d) * static_cast<std::int64_t>(t.scratch_bytes));
    return t;
  }
  CtcScratch<T> piece(const op::CtcDesc& d, std::int64_t i) const {
    Carver carver{scratch + static_cast<std::size_t>(i) * scratch_bytes};
    return CtcScratch<T>::take(carver, d, row);
  }
};

/// Bytes of `Part` for all sequences together, each taken with its own U.
template <class Part>
std::size_t ctc_bytes(const op::CtcDesc& d) {
  const auto bytes = [&](std::int64_t U) {
    Carver one;
    Part::take(one, d, U);
    return static_cast<std::int64_t>(one.used);
  };
  if (!d.concatenated) return static_cast<std::size_t>(d.N * bytes(d.L));
  // They grow by whole packs: a sequence has at most one that is not full, and the labels fill the others.
  const std::int64_t pack = 64 / static_cast<std::int64_t>(size_of(d.dtype));
  const std::int64_t one = bytes(pack - 1), more = bytes(2 * pack - 1) - one + 64;
  return static_cast<std::size_t>(d.N * one + d.L / pack * more);
}

/// What forward leaves for backward, or keeps to itself at inference.
template <class T>
struct CtcReserve {
  T* largest = nullptr;  // [T, N] of each frame's logits
  T* sum = nullptr;      // [T, N] of exp(x - largest)
  Carver rest;           // CtcKept, sequence by sequence

  static CtcReserve take(Carver& carver, const op::CtcDesc& d) {
    CtcReserve r;
    r.largest = carver.take<T>(d.T * d.N);
    r.sum = carver.take<T>(d.T * d.N);
    r.rest.base = carver.take<std::byte>(static_cast<std::int64_t>(ctc_bytes<CtcKept<T>>(d)));
    return r;
  }
};

template <class T>
std::size_t ctc_reserve_bytes(const op::CtcDesc& d) {
  Carver carver;
  CtcReserve<T>::take(carver, d);
  return carver.used;
}

/// A batch as both passes see it.
template <class T>
struct CtcBatch {
  CtcSequence* sequences = nullptr;  // [N]
  CtcTables<T>* tables = nullptr;    // [N]
  CtcKept<T>* kept = nullptr;        // [N]
  double* numbers = nullptr;         // [N] forward: -ln p; backward: factors of the gradient

  static CtcBatch take(Carver& carver, const op::CtcDesc& d) {
    CtcBatch b;
    b.sequences = carver.take<CtcSequence>(d.N);
    b.tables = carver.take<CtcTables<T>>(d.N);
    b.kept = carver.take<CtcKept<T>>(d.N);
    b.numbers = carver.take<double>(d.N);
    return b;
  }
};

/// @param with_reserve  forward at inference
template <class T>
std::size_t ctc_workspace_bytes(const op::CtcDesc& d, bool with_reserve) {
  Carver carver;
  CtcBatch<T>::take(carver, d);
  if (with_reserve) CtcReserve<T>::take(carver, d);
  return carver.used + ctc_bytes<CtcTables<T>>(d);
}

/// Checks lengths and labels. @param sequences  [d.N], filled
/// @throws Error{invalid_argument}
void ctc_sequences(const op::CtcDesc& d, const Arguments& a, CtcSequence* sequences);

}  // namespace seqgpu::device::cpu
