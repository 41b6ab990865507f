#include "device.hpp"

#include <fmt/format.h>

namespace seqgpu::tool {

DeviceChoice take_device(std::int64_t threads) {
  if (threads > 0) return {cpu_device(static_cast<int>(threads)), fmt::format("threads = {}", threads)};
  return choose_device();
}

std::string to_line(const DeviceChoice& choice) { return fmt::format("{} ({})", choice.device.name(), choice.reason); }

}  // namespace seqgpu::tool
