#pragma once

#include "device/device.hpp"

namespace seqgpu::support {

/// A CPU that shares out the smallest program too, which cpu_device() leaves to the caller's thread.
inline Device sharing_cpu(int threads) { return Device(device::make_cpu_backend(threads, 0.0)); }

}  // namespace seqgpu::support
