// Any bytes: what stands in front of libsndfile either refuses them as invalid_file or hands them on. libsndfile itself
// is not tried: it is not ours, and not compiled for libFuzzer.
#include <cstdint>

#include "data/sound_decoder.hpp"
#include "fuzz/refusals.hpp"

namespace {

using namespace seqgpu::data;

Waveform one_sample(std::span<const std::byte>, const std::string&, const std::string& format, const WavOptions&) {
  fuzz::require(!format.empty());
  return {{0.5f}, 8000};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::only_invalid_file([&] {
    const SoundDecoder decoder{one_sample, {}};
    const Waveform wave = parse_audio_with(decoder, std::as_bytes(std::span(data, size)), "fuzz", {});
    fuzz::require(!wave.samples.empty());
  });
  return 0;
}
