#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "op/desc.hpp"
#include "seqgpu/graph.hpp"

// What a Graph holds. Values are numbered in the order they were made, nodes in an order that respects dependence.
namespace seqgpu::graph {

/// Where a value lives: planned by the scheduler, or at a fixed offset of a flat buffer.
enum class Storage : std::uint8_t { arena, parameters, gradients, moment1, moment2, average, control };

struct ValueInfo {
  Shape shape;
  DType dtype = DType::f32;
  int producer = -1;  // node, or -1 for a leaf
  Storage storage = Storage::arena;
  std::int64_t offset = 0;  // bytes, unless storage is arena
  std::string name;         // inputs and parameters
  bool opaque = false;      // u8 scratch whose size only the chosen implementation knows

  std::int64_t bytes() const { return shape.elements() * static_cast<std::int64_t>(size_of(dtype)); }
};

struct Node {
  op::AnyDesc desc;
  std::vector<int> inputs, outputs;  // value ids; -1 where absent
  bool last = false;                 // runs after every other node: it changes what they read
};

struct Data {
  bool training = false;
  std::uint64_t seed = 0;
  std::uint64_t next_stream =
      1;  // per random node; n owns the Philox streams 8n .. 8n+7: see DropoutDesc, RecurrentDesc
  std::vector<ValueInfo> values;
  std::vector<Node> nodes;
  std::map<std::string, Shape> bindings;
  std::map<std::string, std::int64_t> axes;
  std::map<std::string, std::string> axis_source;  // axis -> input that fixed it
  std::map<std::string, int> inputs;
  std::map<int, int> parameters;  // parameter index -> value
  std::vector<std::pair<std::string, int>> outputs;
  int step = -1;  // value of Control::step, once asked for
};

/// A leaf value.
int add_leaf(Data& data, const Shape& shape, DType dtype, Storage storage, std::int64_t offset, std::string name);
/// An output of a node that is about to be added.
int add_value(Data& data, const Shape& shape, DType dtype);
/// Adds a node; sets the producer of its outputs.
int add_node(Data& data, op::AnyDesc desc, std::vector<int> inputs, std::vector<int> outputs);
/// The Philox counter: Control::step.
int step_value(Data& data);

/// Adds the nodes of the backward pass. @return the gradient of each of `wanted`, -1 where loss does not depend on it
/// @throws Error{unsupported} naming an operation without a gradient
std::vector<int> gradients(Data& data, int loss, std::span<const int> wanted);
/// The same from the gradient of any value, `given` by another of its shape.
std::vector<int> gradients_from(Data& data, int value, int given, std::span<const int> wanted);

}  // namespace seqgpu::graph
