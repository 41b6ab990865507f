#pragma once

#include <cstdint>
#include <string>

#include "seqgpu/data/wav.hpp"

namespace seqgpu::data {

constexpr std::uint32_t kMostRate = 1'000'000;  // in Hz

// Throws Error{invalid_argument} for options that fit no file.
void check_wave_options(const WavOptions& options, const char* operation);

// Why a file of so many channels and such a rate is not what was asked for; empty: it is.
std::string wave_refusal(std::uint32_t channels, std::uint32_t rate, const WavOptions& options);

}  // namespace seqgpu::data
