#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/error.hpp"
#include "seqgpu/export.hpp"

namespace seqgpu::data {

/// conlleval: the rules of the CoNLL-2000 script (Tjong Kim Sang, version of 2004-01-26), where an I that follows
/// nothing opens a chunk. strict: only B opens one; an I that continues nothing is no chunk (seqeval's strict IOB2).
/// Neither knows S tags: convert IOBES to IOB2 first.
enum class ChunkMode : std::uint8_t { conlleval, strict };

struct Chunk {
  std::string type;
  int first = 0;  ///< token
  int last = 0;   ///< token, inclusive
  bool operator==(const Chunk&) const = default;
};

/// The chunks of one sentence, in order.
/// @throws Error{invalid_argument} in strict mode for a tag that is not O, B-type or I-type
SEQGPU_API std::vector<Chunk> chunks_of(std::span<const std::string> tags, ChunkMode mode = ChunkMode::conlleval);

struct TypeScore {
  std::int64_t gold = 0;
  std::int64_t found = 0;
  std::int64_t correct = 0;
  double precision = 0;  ///< correct / found, 0 to 1; 0 where undefined, and so for the others
  double recall = 0;     ///< correct / gold
  double f1 = 0;         ///< 2 P R / (P + R)
};

struct ChunkScores {
  std::map<std::string, TypeScore> types;  ///< each type that occurs in gold or predicted
  TypeScore overall;                       ///< micro: over all chunks
  std::int64_t tokens = 0;
  std::int64_t correct_tags = 0;
  double accuracy = 0;  ///< correct_tags / tokens, O included
};

/// Scores one tag sequence per sentence.
/// @throws Error{invalid_argument} where the numbers of sentences, or of tags in one, differ
SEQGPU_API ChunkScores conlleval(std::span<const std::vector<std::string>> gold,
                                 std::span<const std::vector<std::string>> predicted,
                                 ChunkMode mode = ChunkMode::conlleval);

/// The script's output, byte for byte.
SEQGPU_API std::string conlleval_report(const ChunkScores& scores);

/// What became of chunks of one gold type: one row per (gold type, predicted type, same span or not).
struct ChunkConfusion {
  std::string gold;        ///< empty: predicted where there is no gold chunk
  std::string predicted;   ///< empty: missed
  bool same_span = false;  ///< both chunks cover the same tokens; with equal types: correct
  std::int64_t count = 0;
  std::int64_t sentence = 0;  ///< the first example: index of the sentence
  int first = 0;              ///< its tokens: of the gold chunk, or of the predicted one if gold is empty
  int last = 0;
};

/// Pairs each gold chunk with the predicted chunk that overlaps it most (the first of equals); a predicted chunk that
/// overlaps no gold chunk makes a row with gold empty. Most frequent first, then by type names.
SEQGPU_API std::vector<ChunkConfusion> chunk_confusion(std::span<const std::vector<std::string>> gold,
                                                       std::span<const std::vector<std::string>> predicted,
                                                       ChunkMode mode = ChunkMode::conlleval);

}  // namespace seqgpu::data
