#pragma once

#include <string>
#include <vector>

#include "scoring.hpp"
#include "tools/seqgpu/training.hpp"

namespace seqgpu::tool {

struct SpeechReport {
  std::string title;
  std::string summary;  ///< one line
  Config config;
  TrainingResult training;
  Measure measure{"dev_cer", "CER", false};
  std::string set;  ///< what is scored: "test" or "dev"
  SpeechScores scores;
  std::vector<Transcription> transcriptions;  ///< of the recordings, with log-probabilities; empty: no tables
};

/// One page that needs no other file: curves, error table, confusions, pictures of what the network says of a few
/// recordings. Well-formed XML.
std::string speech_report(const SpeechReport& report, const Recordings& recordings, const data::SymbolTable& symbols,
                          const FrontEnd& front_end);

}  // namespace seqgpu::tool
