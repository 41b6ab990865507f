#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/data/features.hpp"
#include "seqgpu/data/manifest.hpp"
#include "seqgpu/data/spec_augment.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu::data {

/// One utterance as a recogniser sees it.
struct SpeechExample {
  HostTensor features;                 ///< [T, F] f32
  std::vector<std::int32_t> labels;    ///< [L] of a SymbolTable, none of them the blank
  std::string source;                  ///< "manifest:line", for messages
  std::vector<std::string> unknown{};  ///< units of the transcript that the table lacks; they have no label
};

/// What becomes of a transcript with symbols that are not in the table. set_aside: they go to SpeechExample::unknown,
/// for an evaluation to count; nothing can be trained on them.
enum class UnknownSymbols : std::uint8_t { refused, set_aside };

struct SpeechReadOptions {
  int delta_order = 0;  ///< add_deltas() after the features; 0: none
  int delta_window = 2;
  int stack = 1, stride = 1;  ///< stack_frames() after that
  int channel = -1;           ///< as in WavOptions
  UnknownSymbols unknown = UnknownSymbols::refused;
  std::int64_t skip_bad = 0;  ///< up to this many utterances that cannot be used are counted and left out
};

struct SpeechSet {
  std::vector<SpeechExample> examples;
  std::int64_t bad_utterances = 0;
  std::string first_bad;  ///< the message of the first of them; empty: none
};

/// The fewest frames that CTC can align the labels to: one each, and a blank between each pair of equal neighbours.
SEQGPU_API std::int64_t least_frames(std::span<const std::int32_t> labels);

/// Reads the sound of each utterance and computes its features and labels.
/// @throws Error{invalid_file} at "manifest:line" with what is wrong: a sound file that read_audio() refuses or
///         of another rate than the extractor's, a symbol that is not in the table (unless set aside), a transcript
///         longer than its frames can align
/// @throws Error{io_failure} at "manifest:line" where the sound file cannot be opened; both beyond `skip_bad` such
SEQGPU_API SpeechSet read_speech(const Manifest& manifest, const FeatureExtractor& extractor,
                                 const SymbolTable& symbols, const SpeechReadOptions& options = {});

struct SpeechBatch {
  HostTensor features;             ///< [T, N, F] f32; padding 0
  HostTensor lengths;              ///< [N] i32, frames
  HostTensor targets;              ///< [N, L] i32; padding 0
  HostTensor target_lengths;       ///< [N] i32
  std::vector<int> example_index;  ///< [N] into the examples given; -1 for a column added by `full_batches`
};

struct SpeechBatchOptions {
  int batch_size = 16;            ///< N
  std::int64_t batch_frames = 0;  ///< 0: none; else fewer examples where N*T of them, padded, would be more than this
  int frame_multiple = 1;         ///< T is rounded up to a multiple of it, so that few shapes occur
  int label_multiple = 1;         ///< so is L
  bool shuffle = true;            ///< examples within a length bucket, and the order of batches, by (seed, epoch)
  bool full_batches = false;      ///< fills batches up to what may be in them with columns of length 0
  std::optional<SpecAugmentOptions> augment = std::nullopt;  ///< its stream is of (seed, epoch, example)
  std::uint64_t seed = 0;
};

/// Which examples come together in each batch of an epoch. They are sorted by frames, rounded up to frame_multiple, so
/// that a batch wastes little; each is in exactly one batch.
/// @throws Error{invalid_argument} for an option out of range
SEQGPU_API std::vector<std::vector<int>> plan_speech_batches(std::span<const SpeechExample> examples,
                                                             const SpeechBatchOptions& options, std::uint64_t epoch);

/// One batch of such a plan. T and L are at least 1.
/// @param columns  [N] into examples, or -1
/// @throws Error{invalid_argument} for an option or index out of range, or examples of different F
SEQGPU_API SpeechBatch make_speech_batch(std::span<const SpeechExample> examples, std::span<const int> columns,
                                         const SpeechBatchOptions& options, std::uint64_t epoch);

/// All batches of an epoch at once.
SEQGPU_API std::vector<SpeechBatch> make_speech_batches(std::span<const SpeechExample> examples,
                                                        const SpeechBatchOptions& options, std::uint64_t epoch);

}  // namespace seqgpu::data
