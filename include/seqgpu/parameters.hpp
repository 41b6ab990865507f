#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "seqgpu/device.hpp"
#include "seqgpu/graph.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu {

namespace train {
struct ParameterStore;
}

/// How a parameter starts. All draws come from Philox keyed by (seed, parameter index).
struct Initializer {
  enum class Kind : std::uint8_t { zero, constant, uniform, normal, identity } kind = Kind::zero;
  float scale = 0.f;  ///< constant: the value; uniform: U(-scale, scale); normal: its deviation; identity: the diagonal
  /// Rows [begin, end) of the first axis get `rows_value` instead (LSTM forget bias); off while begin == end.
  std::int64_t rows_begin = 0, rows_end = 0;
  float rows_value = 0.f;
};

/// The named tensors a model learns, in one flat buffer on a device. Names follow PyTorch.
class SEQGPU_API Parameters {
 public:
  /// @param dtype  f32, or f64 where gradients are checked
  Parameters(const Device& device, std::uint64_t seed, DType dtype = DType::f32);
  ~Parameters();
  Parameters(const Parameters&) = delete;
  Parameters& operator=(const Parameters&) = delete;

  /// @throws Error{invalid_argument} for a name that exists, or once a Trainer or Session has planned with these
  int add(const std::string& name, const Shape& shape, const Initializer& initializer);
  /// The parameter as a value of `graph`.
  Value use(Graph& graph, int index) const;
  Value use(Graph& graph, const std::string& name) const;

  std::vector<std::string> names() const;
  DType dtype() const;
  std::int64_t elements() const;
  HostTensor get(const std::string& name) const;
  /// @throws Error{invalid_argument} naming the parameter and both shapes
  void set(const std::string& name, const HostTensor& value);
  TensorMap all() const;
  /// Every tensor must be there with its shape, and no other; nothing changes if one is not.
  void set_all(const TensorMap& values);

  train::ParameterStore& store() const { return *store_; }

 private:
  std::unique_ptr<train::ParameterStore> store_;
};

}  // namespace seqgpu
