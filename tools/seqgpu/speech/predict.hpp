#pragma once

#include "seqgpu/device.hpp"
#include "tools/seqgpu/commands.hpp"
#include "tools/seqgpu/model_file.hpp"

namespace seqgpu::tool {

/// Transcribes sound files: a line for each, in the form that options.format names.
void predict_transcripts(const ModelFile& model, const Device& device, const PredictOptions& options);

}  // namespace seqgpu::tool
