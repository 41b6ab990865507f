#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "seqgpu/data/wav.hpp"

namespace seqgpu::data {

/// Whether parse_audio reads more than WAV here: this build knows libsndfile, and it can be loaded.
SEQGPU_API bool reads_compressed_audio();

/// Reads a sound file of any format: WAV by parse_wav; FLAC, Ogg (Vorbis, Opus), MP3, AIFF, AU and CAF, told by how
/// they begin, by libsndfile. Samples are as in Waveform, at most 2^28 of them.
/// @param name     stands for the file in messages
/// @param options  as for WAV: the rate is not converted, several channels are refused unless one is named
/// @throws Error{invalid_file} naming the file, as parse_wav does
/// @throws Error{unsupported} for one of the other formats where libsndfile is missing, saying how to get it
/// @throws Error{invalid_argument} for options out of range
SEQGPU_API Waveform parse_audio(std::span<const std::byte> bytes, const std::string& name,
                                const WavOptions& options = {});
/// parse_audio over a file. @throws also Error{io_failure} where it cannot be read
SEQGPU_API Waveform read_audio(const std::string& path, const WavOptions& options = {});

}  // namespace seqgpu::data
