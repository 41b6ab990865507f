#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/support/results.hpp"
#include "graph/data.hpp"
#include "seqgpu/seqgpu.hpp"
#include "train/plans.hpp"

namespace seqgpu::benchmark {

inline constexpr const char* kGiven = "dy";

/// Forward, and backward from a given gradient: a Trainer's program without a loss, the norm of the gradients and the
/// update, which the other contestants have none of either. Opens what a Trainer is made of, as no public call stops
/// before the update.
class Backpropagation {
 public:
  /// @param parameters  among them kGiven, the gradient of what `build` returns; all others get a gradient
  Backpropagation(const Device& device, Parameters& parameters, std::function<Value(Graph&)> build)
      : device_(device),
        parameters_(parameters),
        plans_(device, /*training=*/true, [this, build = std::move(build)](Graph& g) { describe(g, build(g)); }),
        control_(device.share(), sizeof(op::Control)) {
    parameters.store().freeze();
    device_.backend().zero(control_.data(), control_.bytes());
    bases_.parameters = parameters.store().buffer.data();
    bases_.control = control_.data();
  }

  void run(const Batch& batch) {
    last_ = &plans_.find("Backpropagation::run", batch, bases_);
    plans_.feed(*last_, batch, bases_);
    device_.backend().run(last_->work);
  }
  /// Of the last run: "gradient of <name>".
  Results gradients() const {
    Results results;
    for (const auto& [name, value] : last_->program.graph.outputs) {
      const HostTensor gradient = plans_.output(*last_, bases_, value);
      const auto values = gradient.view<float>();
      results.emplace_back(name, std::vector<float>(values.begin(), values.end()));
    }
    return results;
  }
  /// On the device, once it has run.
  std::int64_t planned_bytes() const { return plans_.arena_bytes() + parameters_.store().flat_bytes(); }

 private:
  void describe(Graph& g, Value result) const {
    std::vector<std::string> names;
    std::vector<int> wanted;
    for (const std::string& name : parameters_.names()) {
      if (name == kGiven) continue;
      names.push_back("gradient of " + name);
      wanted.push_back(parameters_.use(g, name).id);
    }
    const int given = parameters_.use(g, kGiven).id;
    const std::vector<int> found = graph::gradients_from(g.data(), result.id, given, wanted);
    for (std::size_t i = 0; i < found.size(); ++i) g.output(names[i], Value{&g, found[i]});
  }

  Device device_;
  const Parameters& parameters_;
  train::Plans plans_;
  device::Buffer control_;
  schedule::Bases bases_;
  train::Plan* last_ = nullptr;
};

}  // namespace seqgpu::benchmark
