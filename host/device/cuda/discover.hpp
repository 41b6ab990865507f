#pragma once

#include <string>

#include "device/device.hpp"

// What the machine has. Nothing here throws, or leaves an error behind for the application's own CUDA calls.
namespace seqgpu::device::cuda {

struct Properties {
  std::string name;  // "NVIDIA H200"
  Limits limits;
};

/// Why that GPU cannot be used, in one line; empty if it can: `properties` is then filled.
std::string look_up(int device, Properties& properties);

}  // namespace seqgpu::device::cuda
