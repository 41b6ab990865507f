// Any bytes are refused with a typed error, or read; what is read survives a round trip.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "fuzz/refusals.hpp"
#include "seqgpu/checkpoint.hpp"

namespace {

using fuzz::require;

void check(std::span<const std::byte> bytes) {
  seqgpu::TensorFile file;
  try {
    file = seqgpu::parse_safetensors(bytes, "fuzz");
  } catch (const seqgpu::Error& error) {
    require(error.code() == seqgpu::ErrorCode::invalid_file || error.code() == seqgpu::ErrorCode::unsupported);
    return;
  }
  const std::vector<std::byte> written = seqgpu::format_safetensors(file);
  const seqgpu::TensorFile again = seqgpu::parse_safetensors(written, "written");
  require(again.metadata == file.metadata && again.tensors.size() == file.tensors.size());
  require(seqgpu::format_safetensors(again) == written);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  check(bytes);
  // Few mutations keep the length in front right; so the first two bytes also serve as the length of a header.
  if (size < 2) return 0;
  const std::uint64_t length = data[0] + 256U * data[1];
  std::vector<std::byte> file(sizeof length);
  std::memcpy(file.data(), &length, sizeof length);
  file.insert(file.end(), bytes.begin() + 2, bytes.end());
  check(file);
  return 0;
}
