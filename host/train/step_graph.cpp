#include "train/step_graph.hpp"

#include <cstddef>

#include "graph/data.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/ops.hpp"

namespace seqgpu::train {
namespace {

using graph::Storage;

/// Sees to where each parameter's gradient lies when the pass ends.
class Placement {
 public:
  Placement(graph::Data& data, const ParameterStore& store, Pass pass) : data_(data), store_(store), pass_(pass) {}

  /// @return the value that is there then
  int place(int gradient, const ParameterStore::Entry& entry) {
    graph::ValueInfo& value = data_.values[static_cast<std::size_t>(gradient)];
    const std::int64_t count = entry.shape.elements();
    if (pass_ == Pass::backward) {
      const int to = value.storage == Storage::arena ? gradient : graph::add_value(data_, entry.shape, store_.dtype);
      if (to != gradient) graph::add_node(data_, op::CopyDesc{store_.dtype, count}, {gradient}, {to});
      data_.outputs.emplace_back("d " + entry.name, to);
      return to;
    }
    if (pass_ == Pass::accumulate) {
      const int sum = in_flat_buffer(entry), to = in_flat_buffer(entry);  // the same bytes, read and then written
      graph::add_node(data_, op::BinaryDesc{op::BinaryDesc::Kind::add, store_.dtype, count, count}, {sum, gradient},
                      {to});
      return to;
    }
    if (value.storage == Storage::arena && value.producer >= 0 && value.name.empty()) {
      value.storage = Storage::gradients;
      value.offset = store_.byte_offset(entry);
      value.name = "d " + entry.name;
      return gradient;
    }
    const int to = in_flat_buffer(entry);
    graph::add_node(data_, op::CopyDesc{store_.dtype, count}, {gradient}, {to});
    return to;
  }

 private:
  int in_flat_buffer(const ParameterStore::Entry& entry) {
    return graph::add_leaf(data_, entry.shape, store_.dtype, Storage::gradients, store_.byte_offset(entry),
                           "d " + entry.name);
  }

  graph::Data& data_;
  const ParameterStore& store_;
  Pass pass_;
};

int control_leaf(graph::Data& data) {
  return graph::add_leaf(data, Shape{}, DType::i64, Storage::control, 0, "control");
}

/// @param gradients  what the norm must wait for
void add_update(graph::Data& data, const ParameterStore& store, const op::OptimizerDesc& optimizer,
                const std::vector<int>& gradients) {
  const Shape flat{store.flat_count};
  const auto leaf = [&](Storage storage, const char* name) {
    return graph::add_leaf(data, flat, store.dtype, storage, 0, name);
  };
  const int gradient = leaf(Storage::gradients, "gradients");
  std::vector<int> norm_inputs{gradient};
  norm_inputs.insert(norm_inputs.end(), gradients.begin(), gradients.end());
  const int measured = control_leaf(data);
  graph::add_node(data, op::GradientNormDesc{store.dtype, store.flat_count}, std::move(norm_inputs), {measured});
  graph::add_node(data, optimizer, {gradient, measured},
                  {leaf(Storage::parameters, "parameters"), leaf(Storage::moment1, "moment1"),
                   leaf(Storage::moment2, "moment2"), leaf(Storage::average, "average"), control_leaf(data)});
  data.nodes.back().last = true;
}

void check(const Graph& graph, const Objective& objective) {
  const Value value = objective.value, gradient = objective.gradient;
  const auto refuse = [](const std::string& why) { throw Error(ErrorCode::invalid_argument, "Trainer", "build", why); };
  if (!value || value.graph != &graph || (!gradient && value.shape().rank() != 0)) {
    refuse("must return a scalar of the graph it was given, the loss" +
           (value ? ", got " + to_string(value.shape()) : std::string()));
  }
  if (!gradient) return;
  if (gradient.graph != &graph || gradient.dtype() != value.dtype() || !(gradient.shape() == value.shape())) {
    refuse("must return with a value of " + std::string(to_string(value.dtype())) + " " + to_string(value.shape()) +
           " a gradient of the same, of the same graph, got " + to_string(gradient.dtype()) + " " +
           to_string(gradient.shape()));
  }
}

/// The gradients of `wanted`, from the objective's own gradient, or from 1; or from the batch's weight, where a pass
/// can be one of several that are summed.
std::vector<int> differentiate(graph::Data& data, Pass pass, const Objective& objective,
                               const std::vector<int>& wanted) {
  if (objective.gradient) return graph::gradients_from(data, objective.value.id, objective.gradient.id, wanted);
  if (pass == Pass::step) return graph::gradients(data, objective.value.id, wanted);
  const DType dtype = objective.value.dtype();
  const std::size_t offset = dtype == DType::f64 ? offsetof(op::Control, weight) : offsetof(op::Control, weight_f32);
  const int weight =
      graph::add_leaf(data, Shape{}, dtype, Storage::control, static_cast<std::int64_t>(offset), "weight");
  return graph::gradients_from(data, objective.value.id, weight, wanted);
}

}  // namespace

Described describe_pass(Graph& graph, Pass pass, Objective objective, const ParameterStore& store,
                        const op::OptimizerDesc& optimizer) {
  check(graph, objective);
  graph::Data& data = graph.data();
  Described described;
  if (!objective.gradient) {
    if (data.values[static_cast<std::size_t>(objective.value.id)].storage != Storage::arena) {
      objective.value = affine(objective.value, 1.f);  // a parameter itself: keep what it was before the update
    }
    graph.output("loss", objective.value);
    described.loss = objective.value.id;
  }
  std::vector<int> indices, wanted;
  for (const auto& [index, value] : data.parameters) {
    indices.push_back(index);
    wanted.push_back(value);
  }
  const std::vector<int> gradients = differentiate(data, pass, objective, wanted);
  described.gradients.assign(store.entries.size(), -1);
  Placement placement(data, store, pass);
  std::vector<int> placed;
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const auto index = static_cast<std::size_t>(indices[i]);
    if (gradients[i] < 0) continue;  // the trainer sees to zeros in the flat buffer
    placed.push_back(placement.place(gradients[i], store.entries[index]));
    described.gradients[index] = placed.back();
  }
  if (pass == Pass::step) add_update(data, store, optimizer, placed);
  return described;
}

Described describe_update(Graph& graph, const ParameterStore& store, const op::OptimizerDesc& optimizer) {
  add_update(graph.data(), store, optimizer, {});
  return {};
}

}  // namespace seqgpu::train
