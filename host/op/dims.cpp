#include "op/dims.hpp"

#include <sstream>
#include <vector>

namespace seqgpu::op {

namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

bool is_number(const std::string& text) { return text.find_first_not_of("0123456789") == std::string::npos; }

}  // namespace

void Dims::match(const std::string& argument, const Shape& shape, const std::string& pattern, const std::string& fix) {
  const std::vector<std::string> axes = split(pattern, ' ');
  bool agrees = shape.rank() == static_cast<int>(axes.size());
  const auto before = known_;
  for (int axis = 0; agrees && axis < shape.rank(); ++axis) {
    std::int64_t product = 1;
    std::string unknown;
    for (const std::string& factor : split(axes[static_cast<std::size_t>(axis)], '*')) {
      if (is_number(factor)) {
        product *= std::stoll(factor);
      } else if (const auto it = known_.find(factor); it != known_.end()) {
        product *= it->second;
      } else {
        unknown = factor;
      }
    }
    if (unknown.empty()) {
      agrees = shape[axis] == product;
    } else {
      agrees = product != 0 && shape[axis] % product == 0;
      if (agrees) known_[unknown] = shape[axis] / product;
    }
  }
  if (agrees) return;
  std::string wanted, values;
  for (const std::string& axis : axes) wanted += (wanted.empty() ? "" : ", ") + axis;
  for (const auto& [name, extent] : before) values += (values.empty() ? "" : " ") + name + "=" + std::to_string(extent);
  fail(argument, "must be [" + wanted + "], got " + to_string(shape) + (values.empty() ? "" : " (" + values + ")") +
                     (fix.empty() ? "" : "; " + fix));
}

void Dims::match_dtype(const std::string& argument, DType found, DType wanted) {
  if (found != wanted) fail(argument, std::string("must be ") + to_string(wanted) + ", got " + to_string(found));
}

void Dims::match_float(const std::string& argument, DType found) {
  if (found != DType::f32 && found != DType::f64) {
    fail(argument, std::string("must be f32 or f64, got ") + to_string(found));
  }
}

void Dims::fail(const std::string& argument, const std::string& detail) const {
  throw Error(ErrorCode::invalid_argument, operation_, argument, detail);
}

}  // namespace seqgpu::op
