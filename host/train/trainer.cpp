#include "seqgpu/trainer.hpp"

#include <cmath>
#include <cstring>
#include <limits>

#include "schedule/program.hpp"
#include "seqgpu/error.hpp"
#include "train/optimizer_desc.hpp"
#include "train/plans.hpp"
#include "train/step_graph.hpp"

namespace seqgpu {

using train::Pass;

struct Trainer::Impl {
  Device device;
  Parameters& parameters;
  op::OptimizerDesc optimizer;
  std::function<Objective(Graph&)> build;
  std::unique_ptr<train::Plans> plans = {};
  device::Buffer gradients = {}, moment1 = {}, moment2 = {}, average = {}, control = {};
  schedule::Bases bases = {};
  StepReport report = {};
  std::vector<bool> written = {};  // by parameter: its gradient in the flat buffer may be other than zero
  bool from_backward = false;      // the last gradients are those of backward(), in the arena
  std::int64_t accumulated = 0;    // batches whose gradients wait for update()
  double accumulated_loss = 0;
  op::Control control_after = {};  // fetched with each update
  alignas(double) std::byte loss_after[sizeof(double)] = {};

  train::ParameterStore& store() { return parameters.store(); }

  train::Described describe(Graph& graph, Pass pass) {
    if (pass == Pass::update) return train::describe_update(graph, store(), optimizer);
    return train::describe_pass(graph, pass, build(graph), store(), optimizer);
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

  /// What a run brings to the host.
  std::vector<device::Work::Fetch> fetches(const train::Plan& plan, const schedule::Bases& at) {
    std::vector<device::Work::Fetch> wanted;
    if (plan.pass == Pass::step || plan.pass == Pass::update)
      wanted.push_back({&control_after, at.control, sizeof control_after});
    if (const int loss = plan.described.loss; loss >= 0) {
      wanted.push_back({loss_after, schedule::address(plan.program, at, loss),
                        static_cast<std::int64_t>(size_of(plan.program.graph.values[index(loss)].dtype))});
    }
    return wanted;
  }

  /// The loss that a run of `plan` brought; NaN where the objective has none.
  double loss_of(const train::Plan& plan) const {
    if (plan.described.loss < 0) return std::numeric_limits<double>::quiet_NaN();
    if (plan.program.graph.values[index(plan.described.loss)].dtype == DType::f64) {
      double value = 0;
      std::memcpy(&value, loss_after, sizeof value);
      return value;
    }
    float value = 0;
    std::memcpy(&value, loss_after, sizeof value);
    return static_cast<double>(value);
  }

  static std::size_t index(int id) { return static_cast<std::size_t>(id); }

  /// The plan of a batch. The flat buffer of gradients is made for the first that needs it.
  train::Plan& find(const char* operation, const Batch& batch, Pass pass) {
    if (pass != Pass::backward && !gradients.data()) {
      gradients = zeroed(store().flat_bytes());
      bases.gradients = gradients.data();
    }
    return plans->find(operation, batch, bases, pass);
  }

  /// Before a run: gradients that other batches left and this one will not write become zero.
  void clear_others(const train::Plan& plan) {
    for (std::size_t i = 0; i < written.size(); ++i) {
      if (plan.described.gradients[i] >= 0) {
        written[i] = true;
      } else if (written[i] && plan.pass != Pass::accumulate) {
        const train::ParameterStore::Entry& entry = store().entries[i];
        device.backend().zero(gradients.data() + store().byte_offset(entry), store().bytes(entry));
        written[i] = false;
      }
    }
  }

  HostTensor gradient(const train::ParameterStore::Entry& entry) {
    const auto i = static_cast<std::size_t>(&entry - store().entries.data());
    if (!from_backward) return written[i] ? read(gradients, entry) : HostTensor(store().dtype, entry.shape);
    const train::Plan* last = plans->last_run();
    if (!last) {
      throw Error(ErrorCode::invalid_argument, "Trainer::gradient", entry.name,
                  "is gone, as another program has taken its memory; run its batch again");
    }
    const int value = last->described.gradients[i];
    return value < 0 ? HostTensor(store().dtype, entry.shape) : plans->output(*last, bases, value);
  }

  /// The first parameter whose gradient holds a NaN or an infinity.
  std::string non_finite_name() {
    for (const auto& entry : store().entries) {
      const HostTensor g = gradient(entry);
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

  /// Finds the plan of a batch, whose gradients go to the flat buffer, and feeds it.
  train::Plan& ready(const char* operation, const Batch& batch, Pass pass) {
    train::Plan& plan = find(operation, batch, pass);
    plans->feed(plan, batch, bases);
    clear_others(plan);
    from_backward = false;
    return plan;
  }

  train::Plan& step(const char* operation, const Batch& batch, bool record) {
    if (accumulated > 0) {
      throw Error(ErrorCode::invalid_argument, operation, "batch",
                  "comes while accumulated gradients (of " + std::to_string(accumulated) +
                      ") wait where its own would go; call update() or discard() first");
    }
    train::Plan& plan = ready(operation, batch, Pass::step);
    plan.work.record = record;
    run_update(plan);
    report.loss = static_cast<float>(loss_of(plan));
    return plan;
  }

  /// Runs a program that ends in the update.
  void run_update(train::Plan& plan) {
    const std::int64_t skipped_before = report.skipped_total;
    ++store().version;
    plans->run(plan, store().version);
    const op::Control& c = control_after;
    report.gradient_norm = static_cast<float>(c.norm);
    report.skipped_total = c.skipped;
    report.skipped = c.skipped != skipped_before;
    report.non_finite_parameter.clear();
    if (report.skipped) report.non_finite_parameter = non_finite_name();
  }

  float backward(const Batch& batch) {
    train::Plan& plan = find("Trainer::backward", batch, Pass::backward);
    plans->feed(plan, batch, bases);
    from_backward = true;
    plans->run(plan, store().version);
    return static_cast<float>(loss_of(plan));
  }

  float accumulate(const Batch& batch, float weight) {
    const char* operation = "Trainer::accumulate";
    if (!std::isfinite(weight)) {
      throw Error(ErrorCode::invalid_argument, operation, "weight", "must be finite, got " + std::to_string(weight));
    }
    train::Plan& plan = ready(operation, batch, accumulated == 0 ? Pass::begin : Pass::accumulate);
    if (plan.described.loss < 0 && weight != 1.f) {
      throw Error(ErrorCode::invalid_argument, operation, "weight",
                  "must be 1 where the Objective came with its gradient, got " + std::to_string(weight) +
                      "; weigh that gradient");
    }
    try {
      run_weighted(plan, weight);
    } catch (...) {
      discard();  // it may have added some of its gradients
      throw;
    }
    const double loss = loss_of(plan);
    ++accumulated;
    accumulated_loss += static_cast<double>(weight) * loss;
    return static_cast<float>(loss);
  }

  void run_weighted(train::Plan& plan, float weight) {
    const bool draws_anew = accumulated > 0 && plan.program.graph.step >= 0;
    if (!draws_anew && weight == 1.f) return plans->run(plan, store().version);
    const op::Control usual = read_control();
    op::Control now = usual;
    now.weight = static_cast<double>(weight);
    now.weight_f32 = weight;
    if (draws_anew) now.step += accumulated << 32;  // no step comes that far, so these masks are nobody else's
    write_control(now);
    try {
      plans->run(plan, store().version);
    } catch (const Error& e) {
      if (e.code() != ErrorCode::device_lost) write_control(usual);
      throw;
    }
    write_control(usual);
  }

  void update() {
    if (accumulated == 0) {
      throw Error(ErrorCode::invalid_argument, "Trainer::update", "gradients",
                  "must have been accumulated since the last update; call accumulate(batch) first");
    }
    train::Plan& plan = find("Trainer::update", Batch{}, Pass::update);
    from_backward = false;
    run_update(plan);
    report.loss = static_cast<float>(accumulated_loss);
    discard();
  }

  void discard() {
    accumulated = 0;
    accumulated_loss = 0;
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
    std::int64_t total = 2 * store().flat_bytes() + control.bytes();  // parameters and gradients
    for (const auto& [name, buffer] : kept()) total += buffer->bytes();
    return total;
  }
};

Trainer::Trainer(const Device& device, Parameters& parameters, const Optimizer& optimizer,
                 std::function<Objective(Graph&)> build, const TrainerOptions& options)
    : impl_(new Impl{device, parameters, {}, std::move(build)}) {
  Impl& t = *impl_;
  if (options.memory_bytes < 0)
    throw Error(ErrorCode::invalid_argument, "Trainer", "memory_bytes",
                "must be 0 (no limit) or more, got " + std::to_string(options.memory_bytes));
  train::ParameterStore& store = parameters.store();
  store.freeze();
  t.optimizer = train::describe(optimizer, store.dtype, store.flat_count);
  t.plans = std::make_unique<train::Plans>(
      "Trainer", device, options.max_plans, [&t](Graph& g, Pass pass) { return t.describe(g, pass); },
      [&t](const train::Plan& plan, const schedule::Bases& at) { return t.fetches(plan, at); });
  t.written.assign(store.entries.size(), false);
  const int moments = train::moment_count(t.optimizer.kind);
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
  t.bases = {nullptr,          store.buffer.data(), nullptr,         t.moment1.data(),
             t.moment2.data(), t.average.data(),    t.control.data()};
}
Trainer::~Trainer() = default;

float Trainer::step(const Batch& batch) {
  impl_->step("Trainer::step", batch, false);
  return impl_->report.loss;
}

float Trainer::backward(const Batch& batch) { return impl_->backward(batch); }

float Trainer::accumulate(const Batch& batch, float weight) { return impl_->accumulate(batch, weight); }

const StepReport& Trainer::update() {
  impl_->update();
  return impl_->report;
}

void Trainer::discard() { impl_->discard(); }

std::int64_t Trainer::accumulated() const { return impl_->accumulated; }

const StepReport& Trainer::report() const { return impl_->report; }

HostTensor Trainer::output(const std::string& name) const {
  const train::Plan* last = impl_->plans->last_run();
  if (last) {
    for (const auto& [known, value] : last->program.graph.outputs) {
      if (known == name) return impl_->plans->output(*last, impl_->bases, value);
    }
  }
  throw Error(ErrorCode::invalid_argument, "Trainer::output", name,
              last                      ? "was not marked with Graph::output"
              : impl_->plans->has_run() ? "is gone, as another program has taken its memory; run its batch again"
                                        : "has no value before the first step");
}

HostTensor Trainer::gradient(const std::string& name) const {
  return impl_->gradient(impl_->store().find("Trainer::gradient", name));
}

TensorMap Trainer::gradients() const {
  TensorMap values;
  for (const auto& entry : impl_->store().entries) values[entry.name] = impl_->gradient(entry);
  return values;
}

void Trainer::set_rate_factor(float factor) {
  op::Control c = impl_->read_control();
  c.rate_factor = static_cast<double>(factor);
  impl_->write_control(c);
}

std::int64_t Trainer::steps() const { return impl_->read_control().step; }

std::int64_t Trainer::plans() const { return impl_->plans->count(); }

std::string Trainer::describe(const Batch& batch) {
  return impl_->find("Trainer::describe", batch, Pass::step).program.to_string();
}

std::string Trainer::explain(const Batch& batch) {
  return impl_->find("Trainer::explain", batch, Pass::step).program.explain();
}

std::int64_t Trainer::predicted_peak_bytes(const Batch& batch) {
  impl_->find("Trainer::predicted_peak_bytes", batch, Pass::step);
  return impl_->plans->arena_bytes() + impl_->fixed_bytes();
}

std::string Trainer::trace(const Batch& batch) {
  const train::Plan& plan = impl_->step("Trainer::trace", batch, true);
  return schedule::trace_json(plan.program, plan.work);
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
  op::Control control = impl_->read_control();
  control.weight = control.weight_f32 = 1.f;  // whatever the state was saved by
  impl_->write_control(control);
  impl_->report.skipped_total = control.skipped;
  impl_->discard();
}

TensorMap Trainer::averaged() const {
  TensorMap values;
  if (!impl_->average.data()) return values;
  for (const auto& entry : impl_->store().entries) values[entry.name] = impl_->read(impl_->average, entry);
  return values;
}

}  // namespace seqgpu
