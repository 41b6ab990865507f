#include "train/plans.hpp"

#include <algorithm>

#include "seqgpu/error.hpp"

namespace seqgpu::train {
namespace {

bool fits(const Plan& plan, const Batch& batch, Pass pass) {
  if (plan.pass != pass) return false;
  const bool same_names = std::equal(plan.offered.begin(), plan.offered.end(), batch.begin(), batch.end(),
                                     [](const std::string& name, const auto& item) { return name == item.first; });
  if (!same_names) return false;
  for (const Plan::Input& input : plan.inputs) {
    const auto it = batch.find(input.name);
    if (it == batch.end() || it->second.dtype != input.dtype || !(it->second.shape == input.shape)) return false;
  }
  return true;
}

/// Whether two steps, maybe of two programs, prepare the same.
bool prepare_alike(const schedule::Program& p, const schedule::Step& a, const schedule::Program& q,
                   const schedule::Step& b) {
  const auto node_of = [](const schedule::Program& program, const schedule::Step& step) -> const graph::Node& {
    return program.graph.nodes[static_cast<std::size_t>(step.node)];
  };
  if (a.implementation != b.implementation || a.prepared_bytes != b.prepared_bytes ||
      !a.implementation->preparation.alike(node_of(p, a).desc, node_of(q, b).desc)) {
    return false;
  }
  const auto place = [](const schedule::Program& program, int value) {
    return value < 0 ? -1 : program.graph.values[static_cast<std::size_t>(value)].offset;
  };
  for (std::size_t i = 0; i < a.inputs.size(); ++i) {
    const bool is_read = i < 32 && (a.implementation->preparation.inputs >> i & 1) != 0;
    if (is_read && place(p, a.inputs[i]) != place(q, b.inputs[i])) return false;
  }
  return true;
}

}  // namespace

Plans::Plans(const char* owner, const Device& device, std::int64_t max_plans, Describe describe, Fetches fetches)
    : device_(device), max_plans_(max_plans), describe_(std::move(describe)), fetches_(std::move(fetches)) {
  if (max_plans < 1) {
    throw Error(ErrorCode::invalid_argument, owner, "max_plans",
                "must be at least 1, got " + std::to_string(max_plans));
  }
}

std::shared_ptr<Prepared> Plans::prepared_for(const Plan& plan, const schedule::Step& step) const {
  const auto is_taken = [&](const std::shared_ptr<Prepared>& prepared) {
    return std::any_of(plan.kept.begin(), plan.kept.end(), [&](const auto& kept) { return kept.prepared == prepared; });
  };
  for (const auto& other : plans_) {
    for (const Plan::Kept& kept : other->kept) {
      if (prepare_alike(plan.program, step, other->program, other->program.steps[kept.step]) &&
          !is_taken(kept.prepared)) {
        return kept.prepared;
      }
    }
  }
  return std::make_shared<Prepared>(Prepared{device::Buffer(device_.share(), step.prepared_bytes), 0});
}

std::unique_ptr<Plan> Plans::make(const char* operation, const Batch& batch, Pass pass) {
  Graph graph(/*training=*/pass != Pass::forward);
  for (const auto& [name, tensor] : batch) graph.bind(name, tensor.shape);
  auto plan = std::make_unique<Plan>();
  plan->pass = pass;
  plan->described = describe_(graph, pass);
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
  plan->program =
      most_bytes_ ? schedule::plan_within(std::move(graph.data()), backend.table(), backend.streams(), *most_bytes_)
                  : schedule::plan(std::move(graph.data()), backend.table(), backend.streams(), pass == Pass::forward);
  for (Plan::Input& input : plan->inputs) {
    input.offset = plan->program.offsets[static_cast<std::size_t>(plan->program.graph.inputs.at(input.name))];
  }
  for (std::size_t i = 0; i < plan->program.steps.size(); ++i) {
    const schedule::Step& step = plan->program.steps[i];
    if (step.prepared_lasts) plan->kept.push_back({i, prepared_for(*plan, step)});
  }
  return plan;
}

void Plans::bind(Plan& plan, const schedule::Bases& bases) const {
  plan.work = schedule::bind(plan.program, bases);
  for (const Plan::Kept& kept : plan.kept) plan.work.launches[kept.step].prepared = kept.prepared->buffer.data();
  if (fetches_) plan.work.fetches = fetches_(plan, bases);
}

/// Every plan is bound to the new arena.
void Plans::grow_arena(std::int64_t bytes, schedule::Bases& bases) {
  const std::int64_t before = arena_.bytes();
  const auto rebind = [&] {
    bases.arena = arena_.data();
    for (const auto& plan : plans_) bind(*plan, bases);
  };
  last_run_ = nullptr;
  arena_.reset();  // before the larger one: the peak stays the larger one's size
  try {
    arena_ = device::Buffer(device_.share(), bytes);
  } catch (const Error&) {
    if (before > 0) arena_ = device::Buffer(device_.share(), before);
    rebind();
    throw;
  }
  rebind();
}

Plan& Plans::find(const char* operation, const Batch& batch, schedule::Bases& bases, Pass pass) {
  const auto found = std::find_if(plans_.begin(), plans_.end(),
                                  [&](const std::unique_ptr<Plan>& plan) { return fits(*plan, batch, pass); });
  if (found != plans_.end()) {
    std::rotate(plans_.begin(), found, found + 1);
    return *plans_.front();
  }
  std::unique_ptr<Plan> plan = make(operation, batch, pass);  // before another goes, which may have prepared the same
  if (plan->program.arena_bytes > arena_.bytes() || !arena_.data()) grow_arena(plan->program.arena_bytes, bases);
  bind(*plan, bases);
  if (count() == max_plans_) {
    if (last_run_ == plans_.back().get()) last_run_ = nullptr;
    plans_.pop_back();
  }
  plans_.insert(plans_.begin(), std::move(plan));
  return *plans_.front();
}

void Plans::feed(const Plan& plan, const Batch& batch, const schedule::Bases& bases) {
  last_run_ = nullptr;  // inputs lie where outputs were
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

void Plans::run(Plan& plan, std::uint64_t version) {
  for (const Plan::Kept& kept : plan.kept) {
    plan.work.launches[kept.step].prepare = kept.prepared->version != version;
    if (kept.prepared->version != version) kept.prepared->version = 0;  // until the run has succeeded
  }
  last_run_ = nullptr;
  device_.backend().run(plan.work);
  if (plan.pass != Pass::update) last_run_ = &plan;  // that one's workspace lies where outputs were
  has_run_ = true;
  for (const Plan::Kept& kept : plan.kept) kept.prepared->version = version;
}

HostTensor Plans::output(const Plan& plan, const schedule::Bases& bases, int value) const {
  const graph::ValueInfo& info = plan.program.graph.values[static_cast<std::size_t>(value)];
  HostTensor tensor(info.dtype, info.shape);
  device_.backend().download(tensor.bytes.data(), schedule::address(plan.program, bases, value), info.bytes());
  return tensor;
}

}  // namespace seqgpu::train
