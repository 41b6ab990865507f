#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "seqgpu/export.hpp"

namespace seqgpu {

/// Element types. f64 exists on the CPU, where gradients are checked.
enum class DType : std::uint8_t { f32, f64, i32, i64, u8 };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
    case DType::i32: return 4;
    case DType::f64:
    case DType::i64: return 8;
    case DType::u8: return 1;
  }
  return 0;
}

/// "f32", "i64", ...
SEQGPU_API const char* to_string(DType dtype);

/// dtype_of<float> is DType::f32, and so on.
template <class T>
inline constexpr DType dtype_of = [] {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  if constexpr (std::is_same_v<T, double>) return DType::f64;
  if constexpr (std::is_same_v<T, std::int32_t>) return DType::i32;
  if constexpr (std::is_same_v<T, std::int64_t>) return DType::i64;
  if constexpr (std::is_same_v<T, std::uint8_t>) return DType::u8;
}();

}  // namespace seqgpu
