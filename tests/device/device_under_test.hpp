#pragma once

#include <cstdlib>

#include "seqgpu/device.hpp"

namespace seqgpu {

/// What the suite is run on: the device that SEQGPU_DEVICE names (`cuda:0`), else the CPU.
inline const Device& device_under_test() {
  static const Device device = std::getenv("SEQGPU_DEVICE") ? best_device() : cpu_device(1);
  return device;
}

/// The emulated GPU has all that kernels ask for, so that a refusal there is a failure, not a reason to skip.
inline bool on_emulated_gpu() {
#if defined(SEQGPU_TEST_EMULATED)
  return device_under_test().kind() == DeviceKind::cuda;
#else
  return false;
#endif
}

}  // namespace seqgpu
