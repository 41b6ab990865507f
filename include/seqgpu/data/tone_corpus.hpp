#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "seqgpu/data/wav.hpp"

namespace seqgpu::data {

/// A language of chords, for a recogniser to learn where no recordings are at hand. A letter is two tones at once, one
/// of four low and one of four high ones, so letters share tones as those of a telephone's keys do. Letters overlap,
/// and their length, loudness and pitch vary, in white noise.
struct ToneCorpusOptions {
  int train_utterances = 600;
  int test_utterances = 150;
  int letters = 8;                ///< 2 to 16 of "a" to "p"
  int shortest = 3, longest = 9;  ///< letters in an utterance, 1 to 1000
  int sample_rate = 8000;         ///< in Hz, 8000 to 96000
  double letter_ms = 120;         ///< mean length of a letter, 20 to 1000; it varies by a third
  double overlap = 0.3;           ///< most of a letter that lies under the next one, 0 to 0.5; never under its like
  double pitch_spread = 0.02;     ///< most that a tone is out of tune, 0 to 0.1
  double snr_db = 10;             ///< power of the mean letter over that of the noise, -20 to 100
  std::uint64_t seed = 1;
};

/// Where a letter sounds, in samples: [first, last).
struct ToneSpan {
  std::int64_t first = 0, last = 0;
};

struct ToneUtterance {
  Waveform wave;
  std::string transcript;       ///< letters, no spaces
  std::vector<ToneSpan> spans;  ///< one for each letter
};

struct TonePair {
  double low = 0, high = 0;  ///< in Hz
};

/// The two tones of a letter in tune. @throws Error{invalid_argument} unless 0 <= letter < 16
SEQGPU_API TonePair tones_of(int letter);

/// The same for the same options and index, whichever others are made.
/// @throws Error{invalid_argument} naming the option that is out of range
SEQGPU_API ToneUtterance tone_utterance(const ToneCorpusOptions& options, std::uint64_t index);

struct ToneCorpusFiles {
  std::string train_manifest, test_manifest;
};

/// Writes `<folder>/train.tsv` and `test.tsv`, manifests as read_manifest() takes them, and beside them the 16-bit WAV
/// files `train/00000.wav` and so on. Creates the folder; files of the same names are replaced. Test utterances come
/// from other indices than those for training.
/// @throws Error{io_failure} where that cannot be done, and as tone_utterance()
SEQGPU_API ToneCorpusFiles write_tone_corpus(const std::string& folder, const ToneCorpusOptions& options = {});

}  // namespace seqgpu::data
