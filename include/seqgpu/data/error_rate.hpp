#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "seqgpu/data/manifest.hpp"
#include "seqgpu/export.hpp"

namespace seqgpu::data {

/// Word or character errors, as NIST's sclite counts them (SCTK: dynamic programming with the default weights).
struct ErrorCounts {
  std::int64_t substitutions = 0;
  std::int64_t deletions = 0;   ///< of the reference, without a counterpart
  std::int64_t insertions = 0;  ///< of the hypothesis, without a counterpart
  std::int64_t reference = 0;   ///< tokens of the reference

  std::int64_t errors() const { return substitutions + deletions + insertions; }
  std::int64_t correct() const { return reference - substitutions - deletions; }
  /// errors() / reference, which insertions can bring above 1. Where the reference is empty: 0 without an error, else
  /// infinity.
  SEQGPU_API double rate() const;

  SEQGPU_API ErrorCounts& operator+=(const ErrorCounts& other);
  bool operator==(const ErrorCounts&) const = default;
};

enum class AlignedAs : std::uint8_t { correct, substitution, deletion, insertion };

/// "correct", ...
SEQGPU_API const char* to_string(AlignedAs kind);

/// One column of an alignment.
struct AlignedPair {
  AlignedAs kind = AlignedAs::correct;
  std::int64_t reference = -1;   ///< index of the token in the reference; -1: an insertion
  std::int64_t hypothesis = -1;  ///< index of the token in the hypothesis; -1: a deletion
  bool operator==(const AlignedPair&) const = default;
};

/// Aligns at the least cost, where a substitution costs 4, a deletion or insertion 3, a correct token nothing. Of
/// alignments that cost the same, sclite's is taken: seen from the end, the one that pairs tokens first, else inserts,
/// else deletes. Because of the weights the errors can be more than the Levenshtein distance. Tokens are compared byte
/// by byte: sclite does so with -s, and otherwise folds the case of ASCII letters first.
/// Takes time of reference times hypothesis, and a byte of memory for each pair.
/// @param alignment  becomes the columns in order; null: not wanted
/// @throws Error{invalid_argument} for more than 2^31 pairs of tokens
SEQGPU_API ErrorCounts align_tokens(std::span<const std::string> reference, std::span<const std::string> hypothesis,
                                    std::vector<AlignedPair>* alignment = nullptr);

/// align_tokens() over the units of two transcripts, as split_transcript() gives them.
SEQGPU_API ErrorCounts transcript_errors(std::string_view reference, std::string_view hypothesis, TranscriptUnit unit);

}  // namespace seqgpu::data
