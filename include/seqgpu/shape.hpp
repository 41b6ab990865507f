#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "seqgpu/export.hpp"

namespace seqgpu {

/// Extents of a row-major tensor, slowest axis first; at most six axes, 64-bit extents. Rank 0 is a scalar.
class SEQGPU_API Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  /// @throws Error{invalid_argument} for more than kMaxRank axes or a negative extent
  Shape(std::initializer_list<std::int64_t> extents);

  int rank() const { return rank_; }
  std::int64_t operator[](int axis) const { return extents_[static_cast<std::size_t>(axis)]; }
  std::int64_t back() const { return rank_ == 0 ? 1 : (*this)[rank_ - 1]; }
  void push_back(std::int64_t extent);
  void set(int axis, std::int64_t extent) { extents_[static_cast<std::size_t>(axis)] = extent; }

  /// Product of all extents; 1 for a scalar.
  std::int64_t elements() const;
  bool operator==(const Shape& other) const;

 private:
  std::array<std::int64_t, kMaxRank> extents_{};
  int rank_ = 0;
};

/// "[20, 16, 100]"
SEQGPU_API std::string to_string(const Shape& shape);

}  // namespace seqgpu
