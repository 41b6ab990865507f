#include "run_folder.hpp"

#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <utility>

#include "seqgpu/checkpoint.hpp"

namespace seqgpu::tool {
namespace {

constexpr const char* kFormat = "seqgpu tagger 1";

void check_io(const std::error_code& error, const std::string& path) {
  if (error) throw Error(ErrorCode::io_failure, "run folder", path, error.message());
}

}  // namespace

void RunFolder::create() const {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  check_io(error, path);
}

void RunFolder::clear() const {
  for (const std::string& name : {checkpoints(), model(), metrics()}) {
    std::error_code error;
    std::filesystem::remove_all(name, error);
    check_io(error, name);
  }
}

void write_text(const std::string& path, const std::string& text) {
  write_file_atomically(path, std::as_bytes(std::span(text)));
}

std::string read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (file) text << file.rdbuf();
  if (!file) throw Error(ErrorCode::io_failure, "read", path, "cannot be read");
  return std::move(text).str();
}

void save_model(const std::string& path, const Tagger& tagger, const TensorMap& parameters) {
  TensorFile file{parameters,
                  {{"format", kFormat},
                   {"config", to_toml(tagger.config())},
                   {"vocabulary", tagger.lexicon().vocabulary.to_string()},
                   {"labels", tagger.lexicon().labels.to_string()}}};
  if (tagger.lexicon().trigrams) file.metadata.emplace("trigrams", tagger.lexicon().trigrams->to_string());
  write_safetensors(path, file);
}

std::unique_ptr<Tagger> load_model(const std::string& path, const Device& device) {
  const TensorFile file = read_safetensors(path);
  const auto text = [&](const char* key) -> const std::string& {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) {
      throw Error(ErrorCode::invalid_file, "load_model", path, std::string("has no metadata \"") + key + "\"");
    }
    return found->second;
  };
  if (text("format") != kFormat) {
    throw Error(ErrorCode::invalid_file, "load_model", path, "is a \"" + text("format") + "\", not a " + kFormat);
  }
  const Config config = resolve(parse_config(text("config"), path));
  Lexicon lexicon{data::Vocabulary::from_string(text("vocabulary")), data::Labels::from_string(text("labels")),
                  std::nullopt};
  if (config.trigrams > 0) lexicon.trigrams = data::TrigramFeatures::from_string(text("trigrams"));
  auto tagger = std::make_unique<Tagger>(device, config, std::move(lexicon));
  tagger->parameters().set_all(file.tensors);
  return tagger;
}

}  // namespace seqgpu::tool
