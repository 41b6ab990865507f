#pragma once

#include <cstdint>
#include <string>

#include "config.hpp"
#include "seqgpu/nn.hpp"

namespace seqgpu::tool {

/// Whether the model of that name reads in both directions.
bool is_bidirectional(const std::string& model);

/// The stack of recurrent layers that the config asks for. @param input  width of what it reads
nn::RecurrentLayerOptions recurrent_layers(const Config& config, std::int64_t input);

}  // namespace seqgpu::tool
