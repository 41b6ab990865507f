#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "seqgpu/data/iob.hpp"
#include "seqgpu/data/vocabulary.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu::data {

struct SequenceBatch {
  HostTensor words;                 ///< [T, N] i32, ids; padding 0
  HostTensor tags;                  ///< [T, N] i32, ids; padding 0
  HostTensor lengths;               ///< [N] i32
  HostTensor trigrams;              ///< [T, N, F] i32, F the most trigrams of a word here; empty unless asked for
  std::vector<int> sentence_index;  ///< [N] into the sentences given; -1 for a column added by `full_batches`
};

struct BatchOptions {
  int batch_size = 16;        ///< N
  int length_multiple = 1;    ///< T is rounded up to a multiple of it, so that few shapes occur
  int trigram_multiple = 1;   ///< so is F
  bool shuffle = true;        ///< sentences within a length bucket, and the order of batches, by (seed, epoch)
  bool full_batches = false;  ///< fills the last batch up to batch_size with columns of length 0
  bool unknown_tags_as_outside = false;  ///< a tag not in the labels becomes O; else it is an error
  float word_dropout = 0.f;              ///< chance that a word becomes <unk>; its trigrams stay
  std::uint64_t seed = 0;
  std::int32_t trigram_padding = TrigramFeatures::kPadding;  ///< id that fills trigrams up to F, and all past the end
};

/// One epoch of batches. Sentences are sorted by length, rounded up to length_multiple, so that a batch wastes little;
/// each is in exactly one batch. Which words drop out depends on (seed, epoch, sentence, position) alone.
/// @param trigrams  nullptr: none
/// @throws Error{invalid_argument} for an option out of range, or a tag not in `labels`
SEQGPU_API std::vector<SequenceBatch> make_batches(std::span<const Sentence> sentences, const Vocabulary& vocabulary,
                                                   const Labels& labels, const TrigramFeatures* trigrams,
                                                   const BatchOptions& options, std::uint64_t epoch);

}  // namespace seqgpu::data
