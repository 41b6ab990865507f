#pragma once

#include <cstddef>
#include <vector>

#include "device/device.hpp"
#include "kernels/block/fault.hpp"
#include "seqgpu/error.hpp"

// From what kernels note about illegal input (kernels/block/fault.hpp) to the Error that the CPU throws.
namespace seqgpu::device::cuda {

inline constexpr unsigned long long kNoFault = ~0ull;

/// The first fault in the order of launches; its argument as the CPU checks them: lengths before values.
/// @param faults  one for each launch, at least one of them set
Error input_error(const std::vector<Launch>& launches, const std::vector<kernels::Fault>& faults);

}  // namespace seqgpu::device::cuda
