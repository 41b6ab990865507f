#pragma once

#include <string>

#include "recogniser.hpp"

namespace seqgpu::tool {

struct PosteriorPicture {
  const data::SymbolTable& symbols;
  const data::Utterance& utterance;    ///< its sound is drawn where the file can be read
  const data::SpeechExample& example;  ///< its labels are aligned
  const Transcription& transcription;  ///< with log-probabilities
  const FrontEnd& front_end;           ///< of the features and log-probabilities
};

/// An <svg> of its own over time: the sound, the probability of each symbol and of the blank, the transcript where it
/// aligns best, and what was decoded.
std::string posterior_picture(const PosteriorPicture& picture);

}  // namespace seqgpu::tool
