#pragma once

#include <cstdlib>

#include "seqgpu/error.hpp"

// What fuzz targets ask of a reader.
namespace fuzz {

inline void require(bool condition) {
  if (!condition) std::abort();
}

/// Whatever the bytes, reading them ends well or with Error{invalid_file}.
template <class Read>
void only_invalid_file(Read read) {
  try {
    read();
  } catch (const seqgpu::Error& e) {
    require(e.code() == seqgpu::ErrorCode::invalid_file);
  }
}

}  // namespace fuzz
