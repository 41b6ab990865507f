#pragma once

#include "seqgpu/device.hpp"
#include "tools/seqgpu/commands.hpp"
#include "tools/seqgpu/model_file.hpp"

namespace seqgpu::tool {

/// Labels sentences: word<TAB>tag lines, and a blank line after each sentence.
void predict_tags(const ModelFile& model, const Device& device, const PredictOptions& options);

}  // namespace seqgpu::tool
