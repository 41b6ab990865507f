#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "seqgpu/data/iob.hpp"

namespace seqgpu::data {

/// Travel booking requests from a grammar of this project, tagged in IOB2 with destination, departure (the place),
/// arrival_time, departure_time, return_date, airline, class and passengers. Cities, dates and times take their slot
/// from the words around them: before or after, next to them or far off. In about half of the sentences the words
/// that decide come only after the value, so that a left-to-right model has to guess.
struct TravelCorpus {
  std::vector<Sentence> train;  ///< four fifths
  std::vector<Sentence> dev;    ///< a tenth
  std::vector<Sentence> test;   ///< a tenth; holds cities and airlines that neither of the others has
};

/// The same corpus for the same arguments, on every machine. No sentence occurs twice, in one part or in two.
/// @throws Error{invalid_argument} unless 10 <= sentences <= 100000
SEQGPU_API TravelCorpus travel_corpus(std::uint64_t seed, int sentences = 5000);

/// Values that occur in `test` only.
SEQGPU_API std::vector<std::string> travel_held_out_cities();
SEQGPU_API std::vector<std::string> travel_held_out_airlines();

/// Two sentences in which the same words take different slots.
struct MinimalPair {
  std::string shared;  ///< the words, e.g. "taipei"
  Sentence first;
  Sentence second;
};

/// For a demonstration; the first pairs differ before the shared words, the last ones after them.
SEQGPU_API std::vector<MinimalPair> travel_minimal_pairs();

}  // namespace seqgpu::data
