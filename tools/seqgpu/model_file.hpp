#pragma once

#include <string>

#include "config.hpp"
#include "seqgpu/checkpoint.hpp"

namespace seqgpu::tool {

/// What a model.safetensors is of; stands in its metadata as "format".
inline constexpr const char* kTaggerFormat = "seqgpu tagger 1";
inline constexpr const char* kRecogniserFormat = "seqgpu recogniser 1";

/// A model as it lies on disk.
struct ModelFile {
  std::string path;
  TensorFile file;

  /// @throws Error{invalid_file} where the metadata has no such key
  const std::string& text(const std::string& key) const;
  bool is_tagger() const { return text("format") == kTaggerFormat; }
  Config config() const;
};

/// @throws Error{invalid_file} if the file is no model of this tool
ModelFile read_model(const std::string& path);

}  // namespace seqgpu::tool
