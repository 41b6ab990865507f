#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/error.hpp"
#include "seqgpu/export.hpp"

namespace seqgpu::data {

/// One channel of sound.
struct Waveform {
  std::vector<float> samples;  ///< [S]; integer formats are scaled to -1 <= sample < 1
  int sample_rate = 0;         ///< in Hz
};

struct WavOptions {
  int sample_rate = 0;  ///< in Hz; a file of another rate is refused; 0: any rate
  int channel = -1;     ///< which channel to take, from 0; -1: the file must be mono
};

enum class WavFormat : std::uint8_t { pcm8, pcm16, pcm24, pcm32, float32, float64 };

/// "pcm16", ...
SEQGPU_API const char* to_string(WavFormat format);

/// Reads a RIFF WAVE file: integers of 8 (unsigned), 16, 24 or 32 bits, floats of 32 or 64, plain or
/// WAVE_FORMAT_EXTENSIBLE. Chunks may come in any order and unknown ones are skipped. The size in the RIFF header is
/// ignored, those of the chunks are not. Any bytes are safe to read, and need memory only as their own size accounts
/// for.
/// @param name  stands for the file in messages
/// @throws Error{invalid_file} naming the file: truncated, no samples, compressed, not mono or without the channel
///         asked for, of another rate than asked for, a sample that is NaN or infinite
/// @throws Error{invalid_argument} for options out of range
SEQGPU_API Waveform parse_wav(std::span<const std::byte> bytes, const std::string& name,
                              const WavOptions& options = {});
/// parse_wav over a file. @throws also Error{io_failure} where it cannot be read
SEQGPU_API Waveform read_wav(const std::string& path, const WavOptions& options = {});

/// A mono file; parse_wav gives the samples back, rounded to the format. In integer formats, samples outside of the
/// range are clipped to it.
/// @throws Error{invalid_argument} for no samples, one that is not finite, a rate outside of 1 to 1,000,000 Hz, or 4
/// GiB
SEQGPU_API std::vector<std::byte> format_wav(const Waveform& wave, WavFormat format = WavFormat::pcm16);
/// @throws also Error{io_failure} where the file cannot be written
SEQGPU_API void write_wav(const std::string& path, const Waveform& wave, WavFormat format = WavFormat::pcm16);

}  // namespace seqgpu::data
