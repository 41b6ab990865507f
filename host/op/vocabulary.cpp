#include <limits>

#include "seqgpu/cell.hpp"
#include "seqgpu/dtype.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/shape.hpp"

namespace seqgpu {

namespace {
std::string compose(const std::string& operation, const std::string& argument, const std::string& detail) {
  return operation + ": " + argument + (argument.empty() ? "" : " ") + detail;
}
}  // namespace

Error::Error(ErrorCode code, std::string operation, std::string argument, const std::string& detail)
    : std::runtime_error(compose(operation, argument, detail)),
      code_(code),
      operation_(std::move(operation)),
      argument_(std::move(argument)) {}

const char* to_string(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument: return "invalid_argument";
    case ErrorCode::invalid_file: return "invalid_file";
    case ErrorCode::io_failure: return "io_failure";
    case ErrorCode::out_of_memory: return "out_of_memory";
    case ErrorCode::unsupported: return "unsupported";
    case ErrorCode::device_lost: return "device_lost";
    case ErrorCode::internal: return "internal";
  }
  return "unknown";
}

const char* to_string(DType dtype) {
  switch (dtype) {
    case DType::f32: return "f32";
    case DType::f64: return "f64";
    case DType::i32: return "i32";
    case DType::i64: return "i64";
    case DType::u8: return "u8";
  }
  return "unknown";
}

const char* to_string(Activation activation) {
  switch (activation) {
    case Activation::linear: return "linear";
    case Activation::tanh: return "tanh";
    case Activation::relu: return "relu";
    case Activation::sigmoid: return "sigmoid";
  }
  return "unknown";
}

const char* to_string(Direction direction) { return direction == Direction::forward ? "forward" : "reverse"; }

const char* to_string(Precision precision) {
  switch (precision) {
    case Precision::f32: return "f32";
    case Precision::tf32: return "tf32";
    case Precision::bf16: return "bf16";
  }
  return "?";
}

Shape::Shape(std::initializer_list<std::int64_t> extents) {
  for (const std::int64_t extent : extents) push_back(extent);
}

void Shape::push_back(std::int64_t extent) {
  if (rank_ == kMaxRank) throw Error(ErrorCode::invalid_argument, "Shape", "extents", "has more than 6 axes");
  if (extent < 0) {
    throw Error(ErrorCode::invalid_argument, "Shape", "extents", "has a negative extent: " + std::to_string(extent));
  }
  extents_[static_cast<std::size_t>(rank_++)] = extent;
}

std::int64_t Shape::elements() const {
  std::int64_t product = 1;
  for (int axis = 0; axis < rank_; ++axis) {
    if (__builtin_mul_overflow(product, (*this)[axis], &product)) {
      throw Error(ErrorCode::invalid_argument, "Shape", "extents", "has more than 2^63 elements");
    }
  }
  return product;
}

bool Shape::operator==(const Shape& other) const {
  if (rank_ != other.rank_) return false;
  for (int axis = 0; axis < rank_; ++axis) {
    if ((*this)[axis] != other[axis]) return false;
  }
  return true;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int axis = 0; axis < shape.rank(); ++axis) text += (axis ? ", " : "") + std::to_string(shape[axis]);
  return text + "]";
}

}  // namespace seqgpu
