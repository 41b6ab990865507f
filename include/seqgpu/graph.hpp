#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "seqgpu/dtype.hpp"
#include "seqgpu/export.hpp"
#include "seqgpu/shape.hpp"

namespace seqgpu {

class Graph;
namespace graph {
struct Data;
}

/// A tensor of a graph that is being described; nothing is computed yet. A default-made Value is "absent".
struct SEQGPU_API Value {
  Graph* graph = nullptr;
  int id = -1;

  explicit operator bool() const { return id >= 0; }
  const Shape& shape() const;
  DType dtype() const;
};

/// What one step computes: nodes with shapes, in the order they were added. Shapes are concrete; a Trainer or a Session
/// builds one graph per shape of its batch.
class SEQGPU_API Graph {
 public:
  /// @param training  whether dropout, zoneout and saved activations are wanted
  explicit Graph(bool training = false);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  bool training() const;

  /// Gives the shape that an input named `name` has in this graph's batch.
  void bind(const std::string& name, const Shape& shape);

  /// A tensor the caller feeds at each step. Axes are names ("T", "N") that must agree between inputs, or numbers
  /// ("3"); the extents come from bind().
  /// @throws Error{invalid_argument} naming the input and both shapes by axis
  Value input(const std::string& name, DType dtype, std::initializer_list<const char*> axes);
  /// True if the batch carries an input of that name.
  bool has_input(const std::string& name) const;
  /// The extent of a named axis, known once an input with that axis was declared.
  std::int64_t axis(const std::string& name) const;

  /// Marks a value as wanted by the caller under a name.
  void output(const std::string& name, Value value);

  /// One line per node: name, operation, shapes.
  std::string to_string() const;

  graph::Data& data() { return *data_; }
  const graph::Data& data() const { return *data_; }

 private:
  std::unique_ptr<graph::Data> data_;
};

}  // namespace seqgpu
