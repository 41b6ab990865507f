#pragma once

#include <algorithm>

#include "device/cpu/ctc_kernels.hpp"
#include "device/cpu/dispatch.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "op/ctc_desc.hpp"
#include "seqgpu/error.hpp"

// Sizes and places of what CTC keeps on the CPU. All are functions of the shape, never of lengths or labels.
namespace seqgpu::device::cpu {

/// Frames between two checkpoints of alpha; a block's alphas are computed again on the way back.
inline constexpr std::int64_t kCtcBlock = 32;

/// One sequence of the batch.
struct CtcSequence {
  const std::int32_t* target = nullptr;  // [U]
  std::int64_t U = 0, frames = 0;
  std::int64_t needed = 0;  // frames
  std::int64_t before = 0;  // labels of the sequences before it
};

/// Pieces that one sequence's way back is cut into: a small batch must feed several threads.
inline std::int64_t ctc_pieces(const op::CtcDesc& d) {
  const std::int64_t blocks = (d.T + kCtcBlock - 1) / kCtcBlock;
  return d.N < 8 ? std::clamp<std::int64_t>(blocks, 1, 8) : 1;
}

inline std::int64_t ctc_labels(const op::CtcDesc& d) { return d.concatenated ? d.L : d.N * d.L; }

/// What forward leaves for backward. Posteriors of one sequence: [frames, classes], classes its distinct ones, the
/// blank's first.
template <class T>
struct CtcReserve {
  T* largest = nullptr;              // [T, N] of each frame's logits
  T* sum = nullptr;                  // [T, N] of exp(x - largest)
  std::int32_t* classes = nullptr;   // U + 1 a sequence
  std::int32_t* distinct = nullptr;  // [N] of which are used; 0: the gradient is 0
  T* posteriors = nullptr;           // [T, U + 1] a sequence; absent where nothing is trained

  static CtcReserve take(Carver& carver, const op::CtcDesc& d, bool with_posteriors) {
    const std::int64_t columns = ctc_labels(d) + d.N;
    CtcReserve r;
    r.largest = carver.take<T>(d.T * d.N);
    r.sum = carver.take<T>(d.T * d.N);
    r.classes = carver.take<std::int32_t>(columns);
    r.distinct = carver.take<std::int32_t>(d.N);
    r.posteriors = carver.take<T>(with_posteriors ? d.T * columns : 0);
    return r;
  }
};

/// One piece's memory while it walks a block.
template <class T>
struct CtcScratch {
  T* alphas = nullptr;                  // [kCtcBlock + 1] rows
  T* betas[2] = {};                     // a row each
  CtcEmission<T>* emissions = nullptr;  // [kCtcBlock]
  CtcPosterior<T> posterior;
  double* by_class = nullptr;  // [width]

  static CtcScratch take(Carver& carver, CtcRow<T> row) {
    using K = CtcExponent<T>;
    CtcScratch s;
    s.alphas = carver.take<T>((kCtcBlock + 1) * row.elements());
    for (T*& beta : s.betas) beta = carver.take<T>(row.elements());
    s.emissions = carver.take<CtcEmission<T>>(kCtcBlock);
    for (std::int64_t i = 0; i < kCtcBlock; ++i) {
      T* m = carver.take<T>(row.width);
      K* k = carver.take<K>(row.width);
      if (s.emissions) s.emissions[i] = {m, k};
    }
    s.posterior = {carver.take<T>(row.width), carver.take<T>(row.width), carver.take<K>(row.width),
                   carver.take<K>(row.width)};
    s.by_class = carver.take<double>(row.width);
    return s;
  }
};

/// One sequence's memory.
template <class T>
struct CtcTables {
  CtcRow<T> row;
  T* emitted = nullptr;            // [T, U + 1] columns of x: label by label, then the blank's
  CtcExponent<T>* skip = nullptr;  // [width + kGuard]
  std::int32_t* slot = nullptr;    // [U] each label among the distinct classes
  T* checkpoints = nullptr;        // [blocks] rows: alpha before each block
  T* boundaries = nullptr;         // [pieces] rows: beta after each piece
  std::byte* scratch = nullptr;    // [pieces] CtcScratch
  std::size_t scratch_bytes = 0;   // of one

  static CtcTables take(Carver& carver, const op::CtcDesc& d, std::int64_t U) {
    CtcTables t;
    const std::int64_t pieces = ctc_pieces(d);
    t.row.width = padded<T>(U + 1);
    t.emitted = carver.take<T>(d.T * (U + 1) + t.row.width);  // read in whole packs
    t.skip = carver.take<CtcExponent<T>>(t.row.width + CtcRow<T>::kGuard);
    t.slot = carver.take<std::int32_t>(U);
    t.checkpoints = carver.take<T>((d.T + kCtcBlock - 1) / kCtcBlock * t.row.elements());
    t.boundaries = carver.take<T>(pieces > 1 ? pieces * t.row.elements() : 0);
    Carver one;
    CtcScratch<T>::take(one, t.row);
    t.scratch_bytes = one.used;
    t.scratch = carver.take<std::byte>(pieces * static_cast<std::int64_t>(t.scratch_bytes));
    return t;
  }
  CtcScratch<T> piece(std::int64_t i) const {
    Carver carver{scratch + static_cast<std::size_t>(i) * scratch_bytes};
    return CtcScratch<T>::take(carver, row);
  }
};

/// Forward's workspace: the sequences, their -ln p, then each one's tables; at inference what would be the reserve.
template <class T>
std::size_t ctc_workspace_bytes(const op::CtcDesc& d) {
  Carver carver;
  carver.take<CtcSequence>(d.N);
  carver.take<CtcTables<T>>(d.N);
  carver.take<double>(d.N);
  if (!d.training) CtcReserve<T>::take(carver, d, false);
  const auto bytes = [&](std::int64_t U) {
    Carver one;
    CtcTables<T>::take(one, d, U);
    return static_cast<std::int64_t>(one.used);
  };
  if (!d.concatenated) return carver.used + static_cast<std::size_t>(d.N * bytes(d.L));
  // Tables grow by whole packs: a sequence has at most one that is not full, and the labels fill the others.
  constexpr std::int64_t pack = CtcRow<T>::kGuard;
  const std::int64_t one = bytes(pack - 1), more = bytes(2 * pack - 1) - one + 64;
  return carver.used + static_cast<std::size_t>(d.N * one + d.L / pack * more);
}

template <class T>
std::size_t ctc_reserve_bytes(const op::CtcDesc& d) {
  Carver carver;
  CtcReserve<T>::take(carver, d, true);
  return carver.used;
}

/// Backward's: the sequences, and what each one's gradient is multiplied with.
inline std::size_t ctc_backward_workspace_bytes(const op::CtcDesc& d) {
  Carver carver;
  carver.take<CtcSequence>(d.N);
  carver.take<double>(d.N);
  return carver.used;
}

/// Checks lengths and labels. @param sequences  [d.N], filled
/// @throws Error{invalid_argument}
void ctc_sequences(const op::CtcDesc& d, const Arguments& a, CtcSequence* sequences);

/// Says how many frames a target needs and how many it has.
Error ctc_impossible_error(const op::CtcDesc& d, std::int64_t n, const CtcSequence& sequence);

}  // namespace seqgpu::device::cpu
