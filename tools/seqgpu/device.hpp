#pragma once

#include <cstdint>
#include <string>

#include "seqgpu/device.hpp"

namespace seqgpu::tool {

/// The device to use. @param threads  more than 0: the CPU with so many; else what choose_device() takes
DeviceChoice take_device(std::int64_t threads = 0);

/// "cpu, 2 threads, avx512 (no NVIDIA driver is installed)"
std::string to_line(const DeviceChoice& choice);

}  // namespace seqgpu::tool
