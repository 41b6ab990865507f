#include "run_folder.hpp"

#include <filesystem>
#include <fstream>
#include <span>
#include <sstream>
#include <utility>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

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

}  // namespace seqgpu::tool
