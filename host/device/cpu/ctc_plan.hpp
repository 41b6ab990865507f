#pragma once

#include <algorithm>

#include "device/cpu/ctc_kernels.hpp"
#include "device/cpu/dispatch.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "op/ctc_desc.hpp"

// Sizes and places of what CTC keeps on the CPU. All are functions of the shape, never of lengths or labels.
namespace seqgpu::device::cpu {

/// Frames between two checkpoints, whose block is computed again on the way back; a multiple of kCtcNormalise.
inline std::int64_t ctc_block(const op::CtcDesc& d) { return d.T <= 256 ? 16 : 32; }
/// The most blocks of one half of a sequence.
inline std::int64_t ctc_blocks(const op::CtcDesc& d) { return ((d.T + 1) / 2 + ctc_block(d) - 1) / ctc_block(d); }
/// Parts that a sequence is cut into: a small batch has its halves walked by two threads.
inline int ctc_parts(const op::CtcDesc& d) { return d.N < 16 ? 2 : 1; }
/// Sequences that may be under way at once, for which there is memory.
inline std::int64_t ctc_lanes(const op::CtcDesc& d) { return std::min<std::int64_t>(d.N, 32); }

/// One sequence of the batch.
struct CtcSequence {
  const std::int32_t* target = nullptr;  // [U]
  std::int64_t U = 0, frames = 0;
  std::int64_t needed = 0;  // frames
  std::int64_t before = 0;  // labels of the sequences before it

  std::int64_t middle() const { return frames / 2; }  // the first frame of the second half
};

inline std::int64_t ctc_labels(const op::CtcDesc& d) { return d.concatenated ? d.L : d.N * d.L; }

/// Rows of a half's own recursion: where it enters each block, and where it leaves the last, at the middle.
template <class T>
struct CtcCheckpoints {
  T* rows = nullptr;               // [blocks + 1]
  std::int64_t* powers = nullptr;  // [blocks + 1] taken from them
};

/// What forward leaves of one sequence.
template <class T>
struct CtcKept {
  enum class Gradient : std::int64_t { zero, finite, nan };
  Gradient* gradient = nullptr;      // [1]
  std::int64_t* exponent = nullptr;  // [1] of p(target | x) in the recursions' numbers
  CtcCheckpoints<T> halves[2];

  static CtcKept take(Carver& carver, const op::CtcDesc& d, std::int64_t U) {
    CtcKept k;
    const std::int64_t rows = ctc_blocks(d) + 1;
    for (CtcCheckpoints<T>& half : k.halves) half.rows = carver.take<T>(rows * CtcRow{padded<T>(U + 1)}.elements());
    std::int64_t* integers = carver.take<std::int64_t>(2 + 2 * rows);
    if (!integers) return k;
    k.gradient = reinterpret_cast<Gradient*>(integers);
    k.exponent = integers + 1;
    k.halves[0].powers = integers + 2;
    k.halves[1].powers = integers + 2 + rows;
    return k;
  }
};

/// What a walk through a sequence, or a half of it, needs by itself.
template <class T>
struct CtcScratch {
  CtcRow row;
  std::int32_t* classes = nullptr;      // [width]
  CtcExponent<T>* places = nullptr;     // [width]
  CtcExponent<T>* skip = nullptr;       // [width + kCtcGuard]
  CtcEmission<T>* emissions = nullptr;  // [frames of a block]
  T* rows = nullptr;                    // [2] of the recursion under way
  T* again = nullptr;                   // [frames of a block] rows of the one whose half is crossed
  std::int64_t* powers = nullptr;       // [frames of a block] taken from them
  T *blank = nullptr, *label = nullptr;

  static CtcScratch take(Carver& carver, const op::CtcDesc& d, std::int64_t U) {
    CtcScratch s;
    const std::int64_t frames = std::min(ctc_block(d), d.T);
    s.row.width = padded<T>(U + 1);
    s.classes = carver.take<std::int32_t>(s.row.width);
    s.places = carver.take<CtcExponent<T>>(s.row.width);
    s.skip = carver.take<CtcExponent<T>>(s.row.width + kCtcGuard<T>);
    s.rows = carver.take<T>(2 * s.row.elements());
    s.again = carver.take<T>(frames * s.row.elements());
    s.powers = carver.take<std::int64_t>(frames);
    s.blank = carver.take<T>(s.row.width);
    s.label = carver.take<T>(s.row.width);
    s.emissions = carver.take<CtcEmission<T>>(frames);
    T* m = carver.take<T>(frames * s.row.width);
    auto* k = carver.take<CtcExponent<T>>(frames * s.row.width);
    for (std::int64_t i = 0; i < (m ? frames : 0); ++i) {
      s.emissions[i] = CtcEmission<T>{};
      s.emissions[i].m = m + i * s.row.width;
      s.emissions[i].k = k + i * s.row.width;
    }
    return s;
  }
  static std::size_t bytes(const op::CtcDesc& d, std::int64_t U) {
    Carver carver;
    take(carver, d, U);
    return carver.used;
  }
};

/// Bytes of `Part` for `count` sequences together, each taken with its own U; of a concatenated batch any of them.
template <class Part>
std::size_t ctc_bytes(const op::CtcDesc& d, std::int64_t count) {
  const auto bytes = [&](std::int64_t U) {
    Carver one;
    Part::take(one, d, U);
    return static_cast<std::int64_t>(one.used);
  };
  if (!d.concatenated) return static_cast<std::size_t>(count * bytes(d.L));
  // They grow by whole packs: a sequence has at most one that is not full, and the labels fill the others.
  const std::int64_t pack = 64 / static_cast<std::int64_t>(size_of(d.dtype));
  const std::int64_t one = bytes(pack - 1), more = bytes(2 * pack - 1) - one + 64;
  return static_cast<std::size_t>(count * one + d.L / pack * more);
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
    r.rest.base = carver.take<std::byte>(static_cast<std::int64_t>(ctc_bytes<CtcKept<T>>(d, d.N)));
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
  CtcKept<T>* kept = nullptr;        // [N]
  double* numbers = nullptr;         // [N] forward: -ln p; backward: factors of the gradient
  double* scales = nullptr;          // [N, 2] forward: ln of what was taken from a half's numbers besides powers of two
  std::int32_t* arrived = nullptr;   // [N] halves of which forward is at the middle

  static CtcBatch take(Carver& carver, const op::CtcDesc& d) {
    CtcBatch b;
    b.sequences = carver.take<CtcSequence>(d.N);
    b.kept = carver.take<CtcKept<T>>(d.N);
    b.numbers = carver.take<double>(d.N);
    b.scales = carver.take<double>(2 * d.N);
    b.arrived = carver.take<std::int32_t>(d.N);
    return b;
  }
};

/// Of all CtcScratch together: each serves any sequence, so there are fewer where targets of a concatenated batch
/// differ much in length, but always one.
template <class T>
std::size_t ctc_scratch_bytes(const op::CtcDesc& d) {
  return static_cast<std::size_t>(ctc_parts(d)) * ctc_bytes<CtcScratch<T>>(d, ctc_lanes(d));
}

/// @param with_reserve  forward at inference
template <class T>
std::size_t ctc_workspace_bytes(const op::CtcDesc& d, bool with_reserve) {
  Carver carver;
  CtcBatch<T>::take(carver, d);
  if (with_reserve) CtcReserve<T>::take(carver, d);
  return carver.used + ctc_scratch_bytes<T>(d);
}

/// Checks lengths and labels. @param sequences  [d.N], filled
/// @throws Error{invalid_argument}
void ctc_sequences(const op::CtcDesc& d, const Arguments& a, CtcSequence* sequences);

}  // namespace seqgpu::device::cpu
