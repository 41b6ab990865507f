#include "random.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace seqgpu::tool {

void add_noise(std::span<float> values, double deviation, std::uint64_t stream) {
  const auto unit = [](std::uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; };
  std::uint64_t counter = mix(stream);
  for (std::size_t i = 0; i < values.size(); i += 2) {
    const double radius = deviation * std::sqrt(-2 * std::log(1 - unit(mix(counter))));
    const double angle = 2 * std::numbers::pi * unit(mix(counter + 1));
    counter += 2;
    values[i] += static_cast<float>(radius * std::cos(angle));
    if (i + 1 < values.size()) values[i + 1] += static_cast<float>(radius * std::sin(angle));
  }
}

std::vector<bool> held_back(std::size_t total, double fraction, std::uint64_t seed) {
  const auto wanted = static_cast<std::size_t>(static_cast<double>(total) * fraction);
  std::vector<std::size_t> order(total);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return mix(mix(seed) ^ a) < mix(mix(seed) ^ b); });
  std::vector<bool> held(total, false);
  for (std::size_t i = 0; i < wanted; ++i) held[order[i]] = true;
  return held;
}

std::string Fingerprint::text() const { return fmt::format("{:016x}", hash_); }

}  // namespace seqgpu::tool
