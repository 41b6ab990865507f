#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/data/speech_batching.hpp"
#include "tools/seqgpu/config.hpp"

namespace seqgpu::tool {

/// Recordings whose features are in memory, and what was said in them.
struct Recordings {
  std::vector<data::Utterance> utterances;
  std::vector<data::SpeechExample> examples;  ///< of the same order and number

  std::size_t size() const { return examples.size(); }
  bool empty() const { return examples.empty(); }
};

/// A stacked frame is `parts` frames side by side, each of `part_width` features, of which the first `bands` are no
/// derivatives. The first `new_parts` are not those of the frame before.
struct FrameLayout {
  std::int64_t bands = 0, part_width = 0, parts = 1, new_parts = 1;
};

/// How sound becomes what the network reads: features, deltas, stacked frames, normalised.
class FrontEnd {
 public:
  /// @param config      resolved, with a sample rate
  /// @param statistics  of the training set
  FrontEnd(const Config& config, data::FeatureStatistics statistics);

  /// F, the features of a stacked frame.
  std::int64_t width() const;
  /// Milliseconds from one stacked frame to the next.
  double frame_ms() const { return shift_ms_ * options_.stride; }
  /// What stands in a stacked frame.
  FrameLayout layout() const;
  const data::FeatureStatistics& statistics() const { return statistics_; }

  /// Reads each sound file, on several threads. `name` and the line of an utterance are what messages call it.
  /// @param unknown   what becomes of transcripts with symbols that are not in the table
  /// @param skip_bad  up to this many that cannot be used are counted and left out, and one line to stderr says so
  /// @throws Error{invalid_file} or {io_failure} with file and line, as data::read_speech(); beyond skip_bad
  Recordings read(const std::string& name, std::vector<data::Utterance> utterances, const data::SymbolTable& symbols,
                  data::UnknownSymbols unknown, std::int64_t skip_bad) const;
  /// Measures the recordings. Normalises nothing, nor does read() before it.
  void measure(const Recordings& recordings);
  void normalise(Recordings& recordings) const;

 private:
  data::FeatureExtractor extractor_;
  data::SpeechReadOptions options_;
  double shift_ms_;
  data::FeatureStatistics statistics_;
};

/// A manifest, without the malformed lines that skip_bad allows for; one line to stderr says how many there were.
data::Manifest load_manifest(const std::string& path, std::int64_t skip_bad);

/// What a recogniser learns from, normalised by the training set.
struct SpeechCorpus {
  Config config;  ///< with the sample rate
  data::SymbolTable symbols;
  FrontEnd front_end;
  Recordings train, dev, test;
};

/// Reads the manifests that the config names and all their sound.
SpeechCorpus load_speech_corpus(const Config& config);

/// Changes with any frame or transcript of train or dev.
std::string fingerprint(const SpeechCorpus& corpus);

}  // namespace seqgpu::tool
