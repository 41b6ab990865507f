#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "seqgpu/data/wav.hpp"

namespace seqgpu::data {

// What reads sound that is not WAV.
struct SoundDecoder {
  // `name` is the file's, `format` that of its format in messages. Throws Error{invalid_file}.
  using Decode = Waveform (*)(std::span<const std::byte> bytes, const std::string& name, const std::string& format,
                              const WavOptions& options);
  Decode decode = nullptr;
  std::string missing;  // where decode is null: why, and what to do about it
};

// Defined in sndfile.cpp, or, in a build without it, in no_sndfile.cpp.
SoundDecoder libsndfile();

// parse_audio() with this decoder.
Waveform parse_audio_with(const SoundDecoder& decoder, std::span<const std::byte> bytes, const std::string& name,
                          const WavOptions& options);

}  // namespace seqgpu::data
