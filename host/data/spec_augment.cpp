#include "seqgpu/data/spec_augment.hpp"

#include <algorithm>
#include <cmath>

#include "data/random.hpp"

namespace seqgpu::data {

namespace {

struct Mask {
  std::size_t first = 0, width = 0;
};

[[noreturn]] void fail(const char* argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "spec_augment", argument, detail);
}

void check(const HostTensor& features, const SpecAugmentOptions& o) {
  const auto not_negative = [](const char* argument, int value) {
    if (value < 0) fail(argument, "must not be negative, got " + std::to_string(value));
  };
  not_negative("time_masks", o.time_masks);
  not_negative("max_time", o.max_time);
  not_negative("frequency_masks", o.frequency_masks);
  not_negative("max_frequency", o.max_frequency);
  if (!(o.max_time_share >= 0 && o.max_time_share <= 1)) {
    fail("max_time_share", "must be from 0 to 1, got " + std::to_string(o.max_time_share));
  }
  if (!std::isfinite(o.fill)) fail("fill", "must be finite");
  if (features.dtype != DType::f32 || features.shape.rank() != 2) {
    fail("features",
         std::string("must be [T, F] f32, got ") + to_string(features.shape) + " " + to_string(features.dtype));
  }
  if (o.groups < 1 || features.shape[1] % o.groups != 0) {
    fail("groups",
         "must divide the " + std::to_string(features.shape[1]) + " features, got " + std::to_string(o.groups));
  }
}

// Two draws whatever comes of them, so that one mask's width does not shift the draws of the next.
Mask draw(Random& random, std::size_t most, std::size_t extent) {
  const std::size_t width = random.below(std::min(most, extent) + 1);
  return {random.below(extent - width + 1), width};
}

}  // namespace

void spec_augment(HostTensor& features, const SpecAugmentOptions& options, std::uint64_t stream) {
  check(features, options);
  const auto frames = static_cast<std::size_t>(features.shape[0]), width = static_cast<std::size_t>(features.shape[1]);
  const std::size_t bands = width / static_cast<std::size_t>(options.groups);
  const auto values = features.view<float>();
  Random random(mix(options.seed, stream));
  const std::size_t most_frames =
      std::min(static_cast<std::size_t>(options.max_time),
               static_cast<std::size_t>(options.max_time_share * static_cast<double>(frames)));
  for (int m = 0; m < options.time_masks; ++m) {
    const Mask mask = draw(random, most_frames, frames);
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(mask.first * width);
    std::fill(first, first + static_cast<std::ptrdiff_t>(mask.width * width), options.fill);
  }
  for (int m = 0; m < options.frequency_masks; ++m) {
    const Mask mask = draw(random, static_cast<std::size_t>(options.max_frequency), bands);
    for (std::size_t part = 0; part < values.size(); part += std::max<std::size_t>(bands, 1)) {
      const auto first = values.begin() + static_cast<std::ptrdiff_t>(part + mask.first);
      std::fill(first, first + static_cast<std::ptrdiff_t>(mask.width), options.fill);
    }
  }
}

}  // namespace seqgpu::data
