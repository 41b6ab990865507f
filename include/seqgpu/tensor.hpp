#pragma once

#include <cstddef>
#include <cstring>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "seqgpu/dtype.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/shape.hpp"

namespace seqgpu {

/// A row-major tensor in host memory that owns its elements.
struct HostTensor {
  DType dtype = DType::f32;
  Shape shape;
  std::vector<std::byte> bytes;

  HostTensor() = default;
  /// Zero-filled.
  HostTensor(DType d, Shape s)
      : dtype(d), shape(s), bytes(static_cast<std::size_t>(s.elements()) * size_of(d), std::byte{0}) {}

  /// Copies `values`, which must hold shape.elements() elements.
  template <class T>
  static HostTensor of(Shape shape, std::span<const T> values) {
    HostTensor t(dtype_of<T>, shape);
    if (values.size() != static_cast<std::size_t>(shape.elements())) {
      throw Error(ErrorCode::invalid_argument, "HostTensor::of", "values",
                  "must hold " + std::to_string(shape.elements()) + " elements for shape " + to_string(shape) +
                      ", got " + std::to_string(values.size()));
    }
    if (!values.empty()) std::memcpy(t.bytes.data(), values.data(), t.bytes.size());
    return t;
  }
  template <class T>
  static HostTensor of(Shape shape, const std::vector<T>& values) {
    return of(shape, std::span<const T>(values));
  }

  /// @throws Error{invalid_argument} if T is not the dtype
  template <class T>
  std::span<T> view() {
    check(dtype_of<T>);
    return {reinterpret_cast<T*>(bytes.data()), static_cast<std::size_t>(shape.elements())};
  }
  template <class T>
  std::span<const T> view() const {
    check(dtype_of<T>);
    return {reinterpret_cast<const T*>(bytes.data()), static_cast<std::size_t>(shape.elements())};
  }

 private:
  void check(DType wanted) const {
    if (wanted != dtype) {
      throw Error(ErrorCode::invalid_argument, "HostTensor::view", "T",
                  std::string("the tensor is ") + to_string(dtype) + ", viewed as " + to_string(wanted));
    }
  }
};

/// Named tensors: what a step reads, what a session returns, what a file holds.
using TensorMap = std::map<std::string, HostTensor>;
using Batch = TensorMap;

}  // namespace seqgpu
