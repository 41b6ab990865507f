#pragma once

#include <string>

namespace seqgpu::tool {

/// What a training run leaves behind.
struct RunFolder {
  std::string path;

  std::string config() const { return path + "/config.toml"; }
  std::string metrics() const { return path + "/metrics.jsonl"; }
  std::string model() const { return path + "/model.safetensors"; }
  std::string report() const { return path + "/report.html"; }
  std::string checkpoints() const { return path + "/checkpoints"; }
  std::string result() const { return path + "/result.json"; }  ///< of a comparison's run that is done
  std::string lock() const { return path + "/lock"; }           ///< of RunLock

  /// @throws Error{io_failure}
  void create() const;
  /// Deletes checkpoints, model and metrics.
  void clear() const;
};

/// Replaces a file as a whole.
void write_text(const std::string& path, const std::string& text);
/// @throws Error{io_failure}
std::string read_text(const std::string& path);

}  // namespace seqgpu::tool
