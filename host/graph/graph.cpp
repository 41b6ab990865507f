#include "seqgpu/graph.hpp"

#include "graph/data.hpp"
#include "op/dims.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu {

const Shape& Value::shape() const { return graph->data().values[static_cast<std::size_t>(id)].shape; }
DType Value::dtype() const { return graph->data().values[static_cast<std::size_t>(id)].dtype; }

Graph::Graph(bool training) : data_(std::make_unique<graph::Data>()) { data_->training = training; }
Graph::~Graph() = default;

bool Graph::training() const { return data_->training; }

void Graph::bind(const std::string& name, const Shape& shape) { data_->bindings[name] = shape; }

bool Graph::has_input(const std::string& name) const { return data_->bindings.contains(name); }

Value Graph::input(const std::string& name, DType dtype, std::initializer_list<const char*> axes) {
  if (const auto known = data_->inputs.find(name); known != data_->inputs.end()) return {this, known->second};
  const auto bound = data_->bindings.find(name);
  if (bound == data_->bindings.end()) {
    std::string have;
    for (const auto& [other, shape] : data_->bindings) have += (have.empty() ? "" : ", ") + other;
    throw Error(ErrorCode::invalid_argument, "Graph::input", name,
                "is not in the batch, which has: " + (have.empty() ? "nothing" : have));
  }
  std::string pattern;
  for (const char* axis : axes) pattern += (pattern.empty() ? "" : " ") + std::string(axis);
  op::Dims dims("Graph::input", data_->axes);
  dims.match(name, bound->second, pattern, "all inputs of a batch share the extents of equally named axes");
  for (const char* axis : axes) {
    const std::string text = axis;
    if (text.find_first_not_of("0123456789") != std::string::npos) data_->axes[text] = dims[text];
  }
  const int id = graph::add_leaf(*data_, bound->second, dtype, graph::Storage::arena, 0, name);
  data_->inputs[name] = id;
  return {this, id};
}

std::int64_t Graph::axis(const std::string& name) const {
  const auto it = data_->axes.find(name);
  if (it == data_->axes.end()) {
    throw Error(ErrorCode::invalid_argument, "Graph::axis", name, "is no axis of any input declared so far");
  }
  return it->second;
}

void Graph::output(const std::string& name, Value value) {
  if (value.graph != this || !value) {
    throw Error(ErrorCode::invalid_argument, "Graph::output", name, "is not a value of this graph");
  }
  data_->outputs.emplace_back(name, value.id);
}

std::string Graph::to_string() const {
  std::string text;
  for (const graph::Node& node : data_->nodes) {
    std::string line;
    for (const int out : node.outputs) {
      if (out < 0) continue;
      line += (line.empty() ? "" : ", ") + std::string("%") + std::to_string(out) + " " +
              seqgpu::to_string(data_->values[static_cast<std::size_t>(out)].shape);
    }
    line += (line.empty() ? "" : " = ") + std::string(op::name_of(node.desc)) + "(";
    bool first = true;
    for (const int in : node.inputs) {
      if (in < 0) continue;
      const graph::ValueInfo& value = data_->values[static_cast<std::size_t>(in)];
      line += (first ? "" : ", ") + (value.name.empty() ? "%" + std::to_string(in) : value.name);
      first = false;
    }
    text += line + ")\n";
  }
  return text;
}

namespace graph {

int add_leaf(Data& data, const Shape& shape, DType dtype, Storage storage, std::int64_t offset, std::string name) {
  data.values.push_back({shape, dtype, -1, storage, offset, std::move(name), false});
  return static_cast<int>(data.values.size()) - 1;
}

int add_value(Data& data, const Shape& shape, DType dtype) {
  data.values.push_back({shape, dtype, -1, Storage::arena, 0, {}, false});
  return static_cast<int>(data.values.size()) - 1;
}

int add_node(Data& data, op::AnyDesc desc, std::vector<int> inputs, std::vector<int> outputs) {
  const int node = static_cast<int>(data.nodes.size());
  for (const int out : outputs) {
    if (out >= 0) data.values[static_cast<std::size_t>(out)].producer = node;
  }
  data.nodes.push_back({std::move(desc), std::move(inputs), std::move(outputs), false});
  return node;
}

int step_value(Data& data) {
  if (data.step < 0) data.step = add_leaf(data, Shape{}, DType::i64, Storage::control, 0, "step");
  return data.step;
}

}  // namespace graph
}  // namespace seqgpu
