#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "seqgpu/dtype.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/shape.hpp"

namespace seqgpu::op {

/// Checks arguments of one operation against patterns such as "T N G*H", learning each axis at its first use.
class Dims {
 public:
  explicit Dims(std::string operation, std::map<std::string, std::int64_t> known = {})
      : operation_(std::move(operation)), known_(std::move(known)) {}

  /// @param pattern  axes separated by spaces: a name, a number, or a product "G*H" whose last factor may be new
  /// @throws Error{invalid_argument}: "recurrent: w_hh must be [G*H, H], got [12, 4] (G=4 H=3); <fix>"
  void match(const std::string& argument, const Shape& shape, const std::string& pattern, const std::string& fix = "");
  void match_dtype(const std::string& argument, DType found, DType wanted);
  /// One of f32 and f64.
  void match_float(const std::string& argument, DType found);
  /// @throws with the given detail
  [[noreturn]] void fail(const std::string& argument, const std::string& detail) const;

  std::int64_t operator[](const std::string& axis) const { return known_.at(axis); }

 private:
  std::string operation_;
  std::map<std::string, std::int64_t> known_;
};

}  // namespace seqgpu::op
