#pragma once

#include <memory>

#include "seqgpu/decode/frames.hpp"
#include "seqgpu/decode/language.hpp"

namespace seqgpu::decode {

struct BeamOptions {
  std::int32_t blank = 0;    ///< negative: from the end
  std::int64_t width = 100;  ///< prefixes kept after each frame; 0: all, which is exact and grows as C^T
  std::int64_t n_best = 1;   ///< hypotheses returned, fewer where the beam holds fewer
  /// Only the k best labels of a frame extend prefixes; 0: all. Blanks and repeats always count.
  std::int64_t top_k = 0;
  int threads = 1;  ///< of beam_search(); 0: as many as the machine has; the result does not depend on it
  std::shared_ptr<const Language> language = nullptr;  ///< language model, word list and insertion term; null: none
};

/// CTC prefix beam search (Hannun et al. 2014, arXiv 1408.2873) over one sequence, in chunks as they come. Each prefix
/// carries the log-probability of its alignments that end in a blank and of those that end in its last label, in
/// double; after each frame the `width` best remain, by the sum of the two and the language terms of whole units.
/// Equals rank by fewer labels, then by the lower label at the first difference. Chunks give the same bits as one call.
class SEQGPU_API BeamSearch {
 public:
  /// @throws Error{invalid_argument} for a blank that is no class, a negative option, or a language that does not fit
  BeamSearch(std::int64_t classes, const BeamOptions& options);
  ~BeamSearch();
  BeamSearch(BeamSearch&&) noexcept;
  BeamSearch& operator=(BeamSearch&&) noexcept;

  /// @param log_probs  [T, C], T >= 0: the next frames, natural logarithms
  /// @throws Error{invalid_argument} for a size that is no multiple of C, a NaN or +infinity; the search is unchanged
  void push(std::span<const float> log_probs);
  /// The n best if the sequence ended here, best first; more frames may follow. log_prob is the sum over the alignments
  /// the beam kept, score adds all language terms, the last word's and the sentence's end too. Empty where nothing is
  /// possible.
  std::vector<Hypothesis> best() const;
  std::int64_t frames() const;  ///< pushed so far

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// BeamSearch over each sequence of a batch.
/// @return [N] of the n best, best first
SEQGPU_API std::vector<std::vector<Hypothesis>> beam_search(const FramesView& frames, const BeamOptions& options = {});

}  // namespace seqgpu::decode
