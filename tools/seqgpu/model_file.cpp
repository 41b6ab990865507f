#include "model_file.hpp"

#include "seqgpu/error.hpp"

namespace seqgpu::tool {

const std::string& ModelFile::text(const std::string& key) const {
  const auto found = file.metadata.find(key);
  if (found == file.metadata.end()) {
    throw Error(ErrorCode::invalid_file, "read_model", path,
                "has no metadata \"" + key + "\"; is it the model.safetensors of `seqgpu train`?");
  }
  return found->second;
}

Config ModelFile::config() const { return resolve(parse_config(text("config"), path)); }

ModelFile read_model(const std::string& path) {
  ModelFile model{path, read_safetensors(path)};
  const std::string& format = model.text("format");
  if (format != kTaggerFormat && format != kRecogniserFormat) {
    throw Error(ErrorCode::invalid_file, "read_model", path,
                "is a \"" + format + "\", which this version does not read; it reads \"" + kTaggerFormat + "\" and \"" +
                    kRecogniserFormat + "\"");
  }
  return model;
}

}  // namespace seqgpu::tool
