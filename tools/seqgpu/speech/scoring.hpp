#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "recogniser.hpp"
#include "seqgpu/data/error_rate.hpp"

namespace seqgpu::tool {

/// How often one token was taken for another. An empty reference is an insertion, an empty hypothesis a deletion.
struct Confusion {
  std::string reference, hypothesis;
  std::int64_t count = 0;
};

/// A symbol of the references that the model cannot write.
struct UnknownSymbol {
  std::string text;
  std::int64_t count = 0;
};

/// Errors over a set of recordings, as sclite counts them.
struct SpeechScores {
  data::ErrorCounts characters, words;
  std::int64_t recordings = 0, wrong_recordings = 0;  ///< wrong: with any error in its words
  double loss = 0;                     ///< CTC's, by symbol, where all symbols are known; NaN: no such recording
  std::vector<Confusion> confusions;   ///< of the model's unit, the most frequent first
  std::vector<UnknownSymbol> unknown;  ///< each of them an error; the most frequent first

  /// Of the model's unit.
  const data::ErrorCounts& of(data::TranscriptUnit unit) const {
    return unit == data::TranscriptUnit::words ? words : characters;
  }
  /// Of the references, in all.
  std::int64_t unknown_count() const;
};

SpeechScores score(const Recordings& recordings, const std::vector<Transcription>& transcriptions,
                   data::TranscriptUnit unit);

/// A table for a terminal: rates in percent, and what they are made of.
std::string score_table(const SpeechScores& scores);

}  // namespace seqgpu::tool
