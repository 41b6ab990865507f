#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "seqgpu/error.hpp"

namespace seqgpu::data {

// All bytes of a file. `operation` is what errors name as the function at fault.
inline std::string read_bytes(const std::string& path, const std::string& operation) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorCode::io_failure, operation, path, "cannot be opened");
  std::string bytes;
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) bytes.append(block, static_cast<std::size_t>(in.gcount()));
  if (in.bad() || !in.eof()) throw Error(ErrorCode::io_failure, operation, path, "cannot be read; is it a folder?");
  return bytes;
}

// The same of a sound file, which has an end: a device or a pipe that a list of files names might have none.
inline std::string read_sound_bytes(const std::string& path, const std::string& operation) {
  std::error_code unknown;
  const auto status = std::filesystem::status(path, unknown);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    throw Error(ErrorCode::io_failure, operation, path, "is no regular file; name a sound file");
  }
  return read_bytes(path, operation);
}

inline void write_bytes(const std::string& path, std::string_view bytes, const std::string& operation) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) throw Error(ErrorCode::io_failure, operation, path, "cannot be opened for writing");
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  out.close();
  if (!out) throw Error(ErrorCode::io_failure, operation, path, "cannot be written; is the disk full?");
}

}  // namespace seqgpu::data
