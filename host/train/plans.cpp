#include "train/plans.hpp"

#include <algorithm>

#include "seqgpu/error.hpp"

namespace seqgpu::train {
namespace {

bool fits(const Plan& plan, const Batch& batch) {
  const bool same_names = std::equal(plan.offered.begin(), plan.offered.end(), batch.begin(), batch.end(),
                                     [](const std::string& name, const auto& item) { return name == item.first; });
  if (!same_names) return false;
  for (const Plan::Input& input : plan.inputs) {
    const auto it = batch.find(input.name);
    if (it == batch.end() || it->second.dtype != input.dtype || !(it->second.shape == input.shape)) return false;
  }
  return true;
}

}  // namespace

std::unique_ptr<Plan> Plans::make(const char* operation, const Batch& batch) {
  Graph graph(training_);
  for (const auto& [name, tensor] : batch) graph.bind(name, tensor.shape);
  describe_(graph);
  auto plan = std::make_unique<Plan>();
  for (const auto& [name, tensor] : batch) plan->offered.push_back(name);
  for (const auto& [name, id] : graph.data().inputs) {
    const Value value{&graph, id};
    const HostTensor& tensor = batch.at(name);
    if (tensor.dtype != value.dtype()) {
      throw Error(ErrorCode::invalid_argument, operation, name,
                  std::string("must be ") + to_string(value.dtype()) + ", got " + to_string(tensor.dtype));
    }
    plan->inputs.push_back({name, value.dtype(), value.shape(), -1});
  }
  const device::Backend& backend = device_.backend();
  plan->program = most_bytes_
                      ? schedule::plan_within(std::move(graph.data()), backend.table(), backend.streams(), *most_bytes_)
                      : schedule::plan(std::move(graph.data()), backend.table(), backend.streams());
  for (Plan::Input& input : plan->inputs) {
    input.offset = plan->program.offsets[static_cast<std::size_t>(plan->program.graph.inputs.at(input.name))];
  }
  return plan;
}

void Plans::bind(Plan& plan, const schedule::Bases& bases) const {
  plan.work = schedule::bind(plan.program, bases);
  if (fetches_) plan.work.fetches = fetches_(plan.program, bases);
}

Plan& Plans::find(const char* operation, const Batch& batch, schedule::Bases& bases) {
  for (const auto& plan : plans_) {
    if (fits(*plan, batch)) return *plan;
  }
  std::unique_ptr<Plan> plan = make(operation, batch);
  if (plan->program.arena_bytes > arena_.bytes() || !arena_.data()) {
    const std::int64_t before = arena_.bytes();
    arena_.reset();  // before the larger one: the peak stays the larger one's size
    try {
      arena_ = device::Buffer(device_.share(), plan->program.arena_bytes);
    } catch (const Error&) {
      if (before > 0) arena_ = device::Buffer(device_.share(), before);
      bases.arena = arena_.data();
      for (const auto& other : plans_) bind(*other, bases);
      throw;
    }
    bases.arena = arena_.data();
    for (const auto& other : plans_) bind(*other, bases);
  }
  bind(*plan, bases);
  plans_.push_back(std::move(plan));
  return *plans_.back();
}

void Plans::feed(const Plan& plan, const Batch& batch, const schedule::Bases& bases) {
  for (const Plan::Input& input : plan.inputs) {
    if (input.offset < 0) continue;
    const HostTensor& tensor = batch.find(input.name)->second;
    const std::int64_t wanted = input.shape.elements() * static_cast<std::int64_t>(size_of(input.dtype));
    if (static_cast<std::int64_t>(tensor.bytes.size()) != wanted) {
      throw Error(ErrorCode::invalid_argument, "Batch", input.name,
                  "must hold " + std::to_string(wanted) + " bytes for " + to_string(input.dtype) + " " +
                      to_string(input.shape) + ", got " + std::to_string(tensor.bytes.size()));
    }
    device_.backend().upload(bases.arena + input.offset, tensor.bytes.data(),
                             static_cast<std::int64_t>(tensor.bytes.size()));
  }
}

HostTensor Plans::output(const Plan& plan, const schedule::Bases& bases, int value) const {
  const graph::ValueInfo& info = plan.program.graph.values[static_cast<std::size_t>(value)];
  HostTensor tensor(info.dtype, info.shape);
  device_.backend().download(tensor.bytes.data(), schedule::address(plan.program, bases, value), info.bytes());
  return tensor;
}

}  // namespace seqgpu::train
