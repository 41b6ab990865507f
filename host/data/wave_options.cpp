#include "data/wave_options.hpp"

namespace seqgpu::data {

void check_wave_options(const WavOptions& options, const char* operation) {
  if (options.sample_rate < 0 || options.channel < -1) {
    throw Error(ErrorCode::invalid_argument, operation, options.channel < -1 ? "channel" : "sample_rate",
                "must not be negative");
  }
}

std::string wave_refusal(std::uint32_t channels, std::uint32_t rate, const WavOptions& options) {
  const std::string has = "has " + std::to_string(channels) + " channels";
  if (channels == 0) return "has no channels";
  if (rate == 0 || rate > kMostRate) {
    return "says " + std::to_string(rate) + " samples a second; expected 1 to " + std::to_string(kMostRate);
  }
  if (options.channel < 0 && channels != 1) return has + "; mix it down to one, or say which to take";
  if (options.channel >= 0 && static_cast<std::uint32_t>(options.channel) >= channels) {
    return has + ", so none numbered " + std::to_string(options.channel) + " (they count from 0)";
  }
  if (options.sample_rate != 0 && static_cast<std::uint32_t>(options.sample_rate) != rate) {
    return "is of " + std::to_string(rate) + " Hz, expected " + std::to_string(options.sample_rate) + "; resample it";
  }
  return {};
}

}  // namespace seqgpu::data
