#pragma once

#include <memory>
#include <string>

#include "tagger.hpp"

namespace seqgpu::tool {

/// What a training run leaves behind.
struct RunFolder {
  std::string path;

  std::string config() const { return path + "/config.toml"; }
  std::string metrics() const { return path + "/metrics.jsonl"; }
  std::string model() const { return path + "/model.safetensors"; }
  std::string report() const { return path + "/report.html"; }
  std::string checkpoints() const { return path + "/checkpoints"; }

  /// @throws Error{io_failure}
  void create() const;
  /// Deletes checkpoints, model and metrics.
  void clear() const;
};

/// Replaces a file as a whole.
void write_text(const std::string& path, const std::string& text);
/// @throws Error{io_failure}
std::string read_text(const std::string& path);

/// The tagger's parameters, with all that labelling needs as metadata.
void save_model(const std::string& path, const Tagger& tagger, const TensorMap& parameters);
/// @throws Error{invalid_file} if the file is not a tagger's model
std::unique_ptr<Tagger> load_model(const std::string& path, const Device& device);

}  // namespace seqgpu::tool
