#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "seqgpu/dtype.hpp"
#include "seqgpu/shape.hpp"

namespace seqgpu::io {

inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit
inline constexpr std::size_t kMaxNameBytes = 4096;
inline constexpr std::size_t kMaxTensors = 65'536;
inline constexpr std::uint64_t kLengthBytes = 8;  // the header's length stands before it
inline constexpr const char* kMetadataName = "__metadata__";

/// How the elements of a file's dtype become a HostTensor's.
enum class Decoding { copy, from_f16, from_bf16, none };

struct FileDType {
  std::string_view name;
  int bits;
  Decoding decoding;
  DType dtype;  ///< what it is decoded to; means nothing for Decoding::none
};

struct HeaderEntry {
  const FileDType* dtype = nullptr;
  Shape shape;
  std::uint64_t begin = 0, end = 0;  ///< in the data area
};

struct SafetensorsHeader {
  std::map<std::string, HeaderEntry> entries;
  std::map<std::string, std::string> metadata;
};

/// Parses the JSON of a safetensors file and checks it against every rule of the format, so that afterwards each entry
/// can be read without further checks. Allocates in proportion to `json`, never to what the file claims.
/// @param data_bytes  size of the data area, which the entries must tile exactly
/// @param file        what errors name
SafetensorsHeader parse_header(std::string_view json, std::uint64_t data_bytes, const std::string& file);

/// A name from a file made fit for a message: quoted, cut short, no control characters.
std::string in_quotes(std::string_view name);

}  // namespace seqgpu::io
