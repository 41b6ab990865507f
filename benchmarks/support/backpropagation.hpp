#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/support/results.hpp"
#include "seqgpu/seqgpu.hpp"

namespace seqgpu::benchmark {

inline constexpr const char* kGiven = "dy";

/// Forward, and backward from a given gradient: Trainer::backward(), which has no loss, no norm of the gradients and no
/// update then, as the other contestants have none of them either.
class Backpropagation {
 public:
  /// @param parameters  among them kGiven, the gradient of what `build` returns; all others get a gradient
  Backpropagation(const Device& device, Parameters& parameters, std::function<Value(Graph&)> build)
      : device_(device),
        before_(device.memory().current),
        parameters_(parameters),
        trainer_(device, parameters, Sgd{}, [&parameters, build = std::move(build)](Graph& g) {
          return Objective{build(g), parameters.use(g, kGiven)};
        }) {}

  /// Nothing is brought to the host.
  void run(const Batch& batch) { trainer_.backward(batch); }

  /// Of the last run: "gradient of <name>".
  Results gradients() const {
    Results results;
    for (const std::string& name : parameters_.names()) {
      if (name == kGiven) continue;
      const HostTensor gradient = trainer_.gradient(name);
      const auto values = gradient.view<float>();
      results.emplace_back("gradient of " + name, std::vector<float>(values.begin(), values.end()));
    }
    return results;
  }

  /// Held on the device once it has run, parameters among it if they were nobody's before.
  std::int64_t planned_bytes() const { return device_.memory().current - before_; }

 private:
  Device device_;
  std::int64_t before_;
  const Parameters& parameters_;
  Trainer trainer_;
};

}  // namespace seqgpu::benchmark
