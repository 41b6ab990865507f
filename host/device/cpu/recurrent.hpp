#pragma once

#include <cstddef>
#include <cstdint>

#include "device/implementation.hpp"
#include "op/recurrent_desc.hpp"

// The recurrent layer on the CPU. Pure functions over caller's memory; no allocation.
namespace seqgpu::device::cpu {

/// Bytes the forward pass keeps for the backward pass (upper bound over lengths).
std::size_t recurrent_reserve_bytes(const op::RecurrentDesc& desc);
std::size_t recurrent_forward_workspace(const op::RecurrentDesc& desc);
std::size_t recurrent_backward_workspace(const op::RecurrentDesc& desc);

/// What forward makes of the weights and biases alone, and which of its inputs these are.
std::size_t recurrent_prepared_bytes(const op::RecurrentDesc& desc);
void recurrent_prepare(const op::RecurrentDesc& desc, const Arguments& arguments);
inline constexpr std::uint32_t kRecurrentPrepared = 1u << op::kInWih | 1u << op::kInWhh | 1u << op::kInBih |
                                                    1u << op::kInBhh | 1u << op::kInUnit | 1u << op::kInProj |
                                                    1u << op::kInProjB;
/// Whether two layers would make the same of the same.
bool recurrent_prepared_alike(const op::RecurrentDesc& a, const op::RecurrentDesc& b);

/// Reads what recurrent_prepare() made.
/// @throws Error{invalid_argument} if a length is negative or exceeds T (names sequence, length and T)
void recurrent_forward(const op::RecurrentDesc& desc, const Arguments& arguments);
/// Writes (never adds to) every wanted gradient.
void recurrent_backward(const op::RecurrentDesc& desc, const Arguments& arguments);

}  // namespace seqgpu::device::cpu
