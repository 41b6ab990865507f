#pragma once

#include <map>
#include <string>
#include <vector>

#include "io/file.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu::io {

/// Tensors under the names they have in a file, which need not be copied for it.
using TensorViews = std::map<std::string, const HostTensor*>;

TensorViews views_of(const TensorMap& tensors);

/// A safetensors file about to be written: its bytes are `prefix`, then each tensor's.
struct SafetensorsLayout {
  std::string prefix;  ///< length and header, padded to a multiple of 8
  std::vector<const HostTensor*> tensors;

  std::vector<Bytes> parts() const;
};

/// @throws Error{invalid_argument} for what parse_safetensors() would refuse
SafetensorsLayout lay_out(const TensorViews& tensors, const std::map<std::string, std::string>& metadata);

}  // namespace seqgpu::io
