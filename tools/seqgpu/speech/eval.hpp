#pragma once

#include "seqgpu/device.hpp"
#include "tools/seqgpu/commands.hpp"
#include "tools/seqgpu/model_file.hpp"

namespace seqgpu::tool {

/// Prints the error rates of a recogniser on a manifest, as sclite counts errors.
void eval_recogniser(const ModelFile& model, const Device& device, const EvalOptions& options);

}  // namespace seqgpu::tool
