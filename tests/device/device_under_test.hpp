#pragma once

#include <cstdlib>

#include "seqgpu/device.hpp"

namespace seqgpu {

/// What the suite is run on: the device that SEQGPU_DEVICE names (`cuda:0`), else the CPU.
inline const Device& device_under_test() {
  static const Device device = std::getenv("SEQGPU_DEVICE") ? best_device() : cpu_device(1);
  return device;
}

}  // namespace seqgpu
