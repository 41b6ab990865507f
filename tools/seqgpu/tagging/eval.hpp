#pragma once

#include "seqgpu/device.hpp"
#include "tools/seqgpu/commands.hpp"
#include "tools/seqgpu/model_file.hpp"

namespace seqgpu::tool {

/// Prints the scores of a tagger on an IOB file, by conlleval's rules.
void eval_tagger(const ModelFile& model, const Device& device, const EvalOptions& options);

}  // namespace seqgpu::tool
