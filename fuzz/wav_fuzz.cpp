// Any bytes: parse_wav either refuses them as invalid_file or gives finite samples that writing holds on to.
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "seqgpu/data/wav.hpp"

namespace {

using namespace seqgpu::data;

void require(bool condition) {
  if (!condition) std::abort();
}

void check(const Waveform& wave) {
  require(!wave.samples.empty() && wave.sample_rate > 0);
  for (const float sample : wave.samples) require(std::isfinite(sample));
  require(parse_wav(format_wav(wave, WavFormat::float32), "written").samples == wave.samples);
  const Waveform rounded = parse_wav(format_wav(wave, WavFormat::pcm24), "written");
  require(parse_wav(format_wav(rounded, WavFormat::pcm24), "written").samples == rounded.samples);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const int channel : {-1, 0, 1}) {
    try {
      check(parse_wav(std::as_bytes(std::span(data, size)), "fuzz", {.channel = channel}));
    } catch (const seqgpu::Error& e) {
      require(e.code() == seqgpu::ErrorCode::invalid_file);
    }
  }
  return 0;
}
