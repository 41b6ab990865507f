// Any bytes: parse_wav either refuses them as invalid_file or gives finite samples that writing holds on to.
#include <cmath>
#include <cstdint>

#include "fuzz/refusals.hpp"
#include "seqgpu/data/wav.hpp"

namespace {

using namespace seqgpu::data;

using fuzz::only_invalid_file;
using fuzz::require;

void check(const Waveform& wave) {
  require(!wave.samples.empty() && wave.sample_rate > 0);
  for (const float sample : wave.samples) require(std::isfinite(sample));
  require(parse_wav(format_wav(wave, WavFormat::float32), "written").samples == wave.samples);
  require(parse_wav(format_wav(wave, WavFormat::float64), "written").samples == wave.samples);
  for (const WavFormat format : {WavFormat::pcm8, WavFormat::pcm16, WavFormat::pcm24, WavFormat::pcm32}) {
    const Waveform rounded = parse_wav(format_wav(wave, format), "written");
    require(rounded.sample_rate == wave.sample_rate && rounded.samples.size() == wave.samples.size());
    require(parse_wav(format_wav(rounded, format), "written").samples == rounded.samples);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  for (const int channel : {-1, 0, 1}) {
    only_invalid_file([&] { check(parse_wav(bytes, "fuzz", {.channel = channel})); });
  }
  only_invalid_file(
      [&] { require(parse_wav(bytes, "fuzz", {.sample_rate = 8000, .channel = 0}).sample_rate == 8000); });
  return 0;
}
