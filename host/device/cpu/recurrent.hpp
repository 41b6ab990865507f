#pragma once

#include <cstddef>

#include "device/implementation.hpp"
#include "op/recurrent_desc.hpp"

// The recurrent layer on the CPU. Pure functions over caller's memory; no allocation.
namespace seqgpu::device::cpu {

/// Bytes the forward pass keeps for the backward pass (upper bound over lengths).
std::size_t recurrent_reserve_bytes(const op::RecurrentDesc& desc);
std::size_t recurrent_forward_workspace(const op::RecurrentDesc& desc);
std::size_t recurrent_backward_workspace(const op::RecurrentDesc& desc);

/// @throws Error{invalid_argument} if a length is negative or exceeds T (names sequence, length and T)
void recurrent_forward(const op::RecurrentDesc& desc, const Arguments& arguments);
/// Writes (never adds to) every wanted gradient.
void recurrent_backward(const op::RecurrentDesc& desc, const Arguments& arguments);

}  // namespace seqgpu::device::cpu
