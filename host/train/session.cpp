#include "schedule/program.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/trainer.hpp"
#include "train/plans.hpp"

namespace seqgpu {

struct Session::Impl {
  Device device;
  const Parameters& parameters;
  train::Plans plans;
  schedule::Bases bases;
  device::Buffer control;
};

Session::Session(const Device& device, const Parameters& parameters, std::function<void(Graph&)> build,
                 const SessionOptions& options)
    : impl_(new Impl{device,
                     parameters,
                     {"Session", device, options.max_plans,
                      [build = std::move(build)](Graph& graph, train::Pass) {
                        build(graph);
                        return train::Described{};
                      }},
                     {},
                     {}}) {
  parameters.store().freeze();
  impl_->control = device::Buffer(device.share(), sizeof(op::Control));
  device.backend().zero(impl_->control.data(), sizeof(op::Control));
  impl_->bases.parameters = parameters.store().buffer.data();
  impl_->bases.control = impl_->control.data();
}
Session::~Session() = default;

TensorMap Session::run(const Batch& batch) {
  Impl& s = *impl_;
  train::Plan& plan = s.plans.find("Session::run", batch, s.bases, train::Pass::forward);
  s.plans.feed(plan, batch, s.bases);
  s.plans.run(plan, s.parameters.store().version);
  TensorMap outputs;
  for (const auto& [name, value] : plan.program.graph.outputs) outputs[name] = s.plans.output(plan, s.bases, value);
  return outputs;
}

std::string Session::explain(const Batch& batch) {
  return impl_->plans.find("Session::explain", batch, impl_->bases, train::Pass::forward).program.explain();
}

std::int64_t Session::plans() const { return impl_->plans.count(); }

}  // namespace seqgpu
