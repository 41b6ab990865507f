#include "seqgpu/trainer.hpp"

#include <cmath>
#include <cstring>

#include "graph/data.hpp"
#include "schedule/program.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/ops.hpp"
#include "train/optimizer_desc.hpp"
#include "train/plans.hpp"

namespace seqgpu {
namespace {

using graph::Storage;

/// Puts each parameter's gradient at its place in the flat buffer.
std::vector<int> place_gradients(graph::Data& data, const train::ParameterStore& store, int loss) {
  std::vector<int> indices, wanted;
  for (const auto& [index, value] : data.parameters) {
    indices.push_back(index);
    wanted.push_back(value);
  }
  std::vector<int> gradients = graph::gradients(data, loss, wanted);
  std::vector<int> placed;
  std::vector<bool> used(store.entries.size(), false);
  const auto in_flat_buffer = [&](const train::ParameterStore::Entry& entry) {
    return graph::add_leaf(data, entry.shape, store.dtype, Storage::gradients, store.byte_offset(entry),
                           "d " + entry.name);
  };
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const train::ParameterStore::Entry& entry = store.entries[static_cast<std::size_t>(indices[i])];
    used[static_cast<std::size_t>(indices[i])] = true;
    const int g = gradients[i];
    if (g >= 0) {
      graph::ValueInfo& value = data.values[static_cast<std::size_t>(g)];
      if (value.storage == Storage::arena && value.producer >= 0 && value.name.empty()) {
        value.storage = Storage::gradients;
        value.offset = store.byte_offset(entry);
        value.name = "d " + entry.name;
        placed.push_back(g);
        continue;
      }
    }
    const int to = in_flat_buffer(entry);
    const std::int64_t count = entry.shape.elements();
    if (g >= 0) {
      graph::add_node(data, op::CopyDesc{store.dtype, count}, {g}, {to});
    } else {
      graph::add_node(data, op::FillDesc{store.dtype, count, 0.0}, {}, {to});
    }
    placed.push_back(to);
  }
  return placed;  // parameters that no node uses keep the zeros the buffer starts with
}

void add_update(graph::Data& data, const train::ParameterStore& store, const op::OptimizerDesc& optimizer,
                const std::vector<int>& gradients) {
  const Shape flat{store.flat_count};
  const auto leaf = [&](Storage storage, const char* name) {
    return graph::add_leaf(data, flat, store.dtype, storage, 0, name);
  };
  const auto control = [&] { return graph::add_leaf(data, Shape{}, DType::i64, Storage::control, 0, "control"); };
  const int gradient = leaf(Storage::gradients, "gradients");
  std::vector<int> norm_inputs{gradient};
  norm_inputs.insert(norm_inputs.end(), gradients.begin(), gradients.end());
  const int measured = control();
  graph::add_node(data, op::GradientNormDesc{store.dtype, store.flat_count}, std::move(norm_inputs), {measured});
  graph::add_node(data, optimizer, {gradient, measured},
                  {leaf(Storage::parameters, "parameters"), leaf(Storage::moment1, "moment1"),
                   leaf(Storage::moment2, "moment2"), leaf(Storage::average, "average"), control()});
  data.nodes.back().last = true;
}

}  // namespace

struct Trainer::Impl {
  Device device;
  Parameters& parameters;
  op::OptimizerDesc optimizer;
  std::function<Value(Graph&)> build;
  std::unique_ptr<train::Plans> plans;
  device::Buffer gradients, moment1, moment2, average, control;
  schedule::Bases bases;
  StepReport report;
  train::Plan* last = nullptr;
  op::Control control_after;  // fetched with each step
  alignas(double) std::byte loss_after[sizeof(double)];

  train::ParameterStore& store() { return parameters.store(); }

  void describe(Graph& graph) {
    Value loss = build(graph);
    if (!loss || loss.graph != &graph || loss.shape().rank() != 0) {
      throw Error(ErrorCode::invalid_argument, "Trainer", "build",
                  "must return a scalar of the graph it was given, the loss" +
                      (loss ? ", got " + to_string(loss.shape()) : std::string()));
    }
    if (graph.data().values[static_cast<std::size_t>(loss.id)].storage != Storage::arena) {
      loss = affine(loss, 1.f);  // a parameter itself: keep what it was before the update
    }
    graph.output("loss", loss);
    graph::Data& data = graph.data();
    add_update(data, store(), optimizer, place_gradients(data, store(), loss.id));
  }

  device::Buffer zeroed(std::int64_t bytes) {
    device::Buffer buffer(device.share(), bytes);
    device.backend().zero(buffer.data(), bytes);
    return buffer;
  }

  op::Control read_control() const {
    op::Control c;
    device.backend().download(&c, control.data(), sizeof c);
    return c;
  }
  void write_control(const op::Control& c) { device.backend().upload(control.data(), &c, sizeof c); }

  /// What a step brings to the host.
  std::vector<device::Work::Fetch> fetches(const schedule::Program& program, const schedule::Bases& at) {
    const int loss = program.graph.outputs.back().second;
    return {{&control_after, at.control, sizeof control_after},
            {loss_after, schedule::address(program, at, loss), static_cast<std::int64_t>(size_of(store().dtype))}};
  }

  /// The first parameter whose gradient holds a NaN or an infinity.
  std::string non_finite_name() {
    for (const auto& entry : store().entries) {
      const HostTensor g = read(gradients, entry);
      bool finite = true;
      if (g.dtype == DType::f64) {
        for (const double v : g.view<double>()) finite = finite && std::isfinite(v);
      } else {
        for (const float v : g.view<float>()) finite = finite && std::isfinite(v);
      }
      if (!finite) return entry.name;
    }
    return "the norm of all gradients overflows";
  }

  HostTensor read(const device::Buffer& buffer, const train::ParameterStore::Entry& entry) {
    HostTensor tensor(store().dtype, entry.shape);
    device.backend().download(tensor.bytes.data(), buffer.data() + store().byte_offset(entry), store().bytes(entry));
    return tensor;
  }

  float run(const char* operation, const Batch& batch, bool record) {
    train::Plan& plan = plans->find(operation, batch, bases);
    plans->feed(plan, batch, bases);
    plan.work.record = record;
    const std::int64_t skipped_before = report.skipped_total;
    ++store().version;
    device.backend().run(plan.work);
    last = &plan;
    const op::Control& c = control_after;
    report.gradient_norm = static_cast<float>(c.norm);
    report.skipped_total = c.skipped;
    report.skipped = c.skipped != skipped_before;
    report.non_finite_parameter.clear();
    if (report.skipped) report.non_finite_parameter = non_finite_name();
    if (store().dtype == DType::f64) {
      double value = 0;
      std::memcpy(&value, loss_after, sizeof value);
      report.loss = static_cast<float>(value);
    } else {
      std::memcpy(&report.loss, loss_after, sizeof report.loss);
    }
    return report.loss;
  }

  std::map<std::string, const device::Buffer*> kept() const {
    std::map<std::string, const device::Buffer*> buffers;
    if (moment1.data()) buffers["moment1"] = &moment1;
    if (moment2.data()) buffers["moment2"] = &moment2;
    if (average.data()) buffers["average"] = &average;
    return buffers;
  }

  /// What is held on the device beside the arena.
  std::int64_t fixed_bytes() {
    std::int64_t total = store().flat_bytes() + gradients.bytes() + control.bytes();
    for (const auto& [name, buffer] : kept()) total += buffer->bytes();
    return total;
  }
};

Trainer::Trainer(const Device& device, Parameters& parameters, const Optimizer& optimizer,
                 std::function<Value(Graph&)> build, const TrainerOptions& options)
    : impl_(new Impl{device, parameters, {}, std::move(build), {}, {}, {}, {}, {}, {}, {}, {}, nullptr, {}, {}}) {
  Impl& t = *impl_;
  if (options.memory_bytes < 0)
    throw Error(ErrorCode::invalid_argument, "Trainer", "memory_bytes",
                "must be 0 (no limit) or more, got " + std::to_string(options.memory_bytes));
  train::ParameterStore& store = parameters.store();
  store.freeze();
  t.optimizer = train::describe(optimizer, store.dtype, store.flat_count);
  t.plans = std::make_unique<train::Plans>(
      device, /*training=*/true, [&t](Graph& g) { t.describe(g); },
      [&t](const schedule::Program& program, const schedule::Bases& at) { return t.fetches(program, at); });
  const int moments = train::moment_count(t.optimizer.kind);
  t.gradients = t.zeroed(store.flat_bytes());
  if (moments > 0) t.moment1 = t.zeroed(store.flat_bytes());
  if (moments > 1) t.moment2 = t.zeroed(store.flat_bytes());
  if (t.optimizer.ema_decay > 0) {
    t.average = device::Buffer(device.share(), store.flat_bytes());
    std::vector<std::byte> start(static_cast<std::size_t>(store.flat_bytes()));
    device.backend().download(start.data(), store.buffer.data(), store.flat_bytes());
    device.backend().upload(t.average.data(), start.data(), store.flat_bytes());
  }
  t.control = device::Buffer(device.share(), sizeof(op::Control));
  t.write_control({});
  if (options.memory_bytes > 0) t.plans->limit_arena(options.memory_bytes - t.fixed_bytes());
  t.bases = {nullptr,          store.buffer.data(), t.gradients.data(), t.moment1.data(),
             t.moment2.data(), t.average.data(),    t.control.data()};
}
Trainer::~Trainer() = default;

float Trainer::step(const Batch& batch) { return impl_->run("Trainer::step", batch, false); }

const StepReport& Trainer::report() const { return impl_->report; }

HostTensor Trainer::output(const std::string& name) const {
  if (impl_->last) {
    for (const auto& [known, value] : impl_->last->program.graph.outputs) {
      if (known == name) return impl_->plans->output(*impl_->last, impl_->bases, value);
    }
  }
  throw Error(ErrorCode::invalid_argument, "Trainer::output", name,
              impl_->last ? "was not marked with Graph::output" : "has no value before the first step");
}

HostTensor Trainer::gradient(const std::string& name) const {
  return impl_->read(impl_->gradients, impl_->store().find("Trainer::gradient", name));
}

void Trainer::set_rate_factor(float factor) {
  op::Control c = impl_->read_control();
  c.rate_factor = static_cast<double>(factor);
  impl_->write_control(c);
}

std::int64_t Trainer::steps() const { return impl_->read_control().step; }

std::string Trainer::describe(const Batch& batch) {
  return impl_->plans->find("Trainer::describe", batch, impl_->bases).program.to_string();
}

std::string Trainer::explain(const Batch& batch) {
  return impl_->plans->find("Trainer::explain", batch, impl_->bases).program.explain();
}

std::int64_t Trainer::predicted_peak_bytes(const Batch& batch) {
  impl_->plans->find("Trainer::predicted_peak_bytes", batch, impl_->bases);
  return impl_->plans->arena_bytes() + impl_->fixed_bytes();
}

std::string Trainer::trace(const Batch& batch) {
  impl_->run("Trainer::trace", batch, true);
  return schedule::trace_json(impl_->last->program, impl_->last->work);
}

TensorMap Trainer::state() const {
  TensorMap state;
  const train::ParameterStore& store = impl_->store();
  for (const auto& [name, buffer] : impl_->kept()) {
    HostTensor tensor(store.dtype, Shape{store.flat_count});
    impl_->device.backend().download(tensor.bytes.data(), buffer->data(), buffer->bytes());
    state[name] = std::move(tensor);
  }
  HostTensor control(DType::u8, Shape{static_cast<std::int64_t>(sizeof(op::Control))});
  impl_->device.backend().download(control.bytes.data(), impl_->control.data(), sizeof(op::Control));
  state["control"] = std::move(control);
  return state;
}

void Trainer::restore(const TensorMap& state) {
  const train::ParameterStore& store = impl_->store();
  auto wanted = impl_->kept();
  wanted["control"] = &impl_->control;
  for (const auto& [name, buffer] : wanted) {
    const auto it = state.find(name);
    const Shape shape{name == "control" ? buffer->bytes() : store.flat_count};
    const DType dtype = name == "control" ? DType::u8 : store.dtype;
    if (it == state.end() || it->second.dtype != dtype || !(it->second.shape == shape)) {
      throw Error(
          ErrorCode::invalid_argument, "Trainer::restore", name,
          std::string("must be ") + to_string(dtype) + " " + to_string(shape) + ", got " +
              (it == state.end() ? "nothing"
                                 : to_string(it->second.dtype) + std::string(" ") + to_string(it->second.shape)) +
              "; was it saved with another optimiser or model?");
    }
  }
  for (const auto& [name, buffer] : wanted) {
    impl_->device.backend().upload(buffer->data(), state.at(name).bytes.data(), buffer->bytes());
  }
  impl_->report.skipped_total = impl_->read_control().skipped;
}

TensorMap Trainer::averaged() const {
  TensorMap values;
  if (!impl_->average.data()) return values;
  for (const auto& entry : impl_->store().entries) values[entry.name] = impl_->read(impl_->average, entry);
  return values;
}

}  // namespace seqgpu
