#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace seqgpu::io {

using Bytes = std::span<const std::byte>;

/// A regular file open for reading.
class InputFile {
 public:
  /// @param operation  what errors name as the function at fault
  InputFile(const std::string& path, const std::string& operation);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::uint64_t size() const { return size_; }
  /// Fills `out` or throws Error{io_failure}.
  void read_at(std::uint64_t offset, std::span<std::byte> out) const;

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::string path_;
  std::string operation_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// What the name of a temporary file has after the name of the file it will become.
inline constexpr const char* kTemporarySuffix = ".tmp-";

/// write_file_atomically() for content in several pieces, written one after another.
void write_parts_atomically(const std::string& path, std::span<const Bytes> parts);

}  // namespace seqgpu::io
