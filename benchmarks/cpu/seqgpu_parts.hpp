#pragma once

#include <memory>

#include "benchmarks/support/contestant.hpp"
#include "benchmarks/support/steered_backend.hpp"
#include "seqgpu/seqgpu.hpp"

// What the parts of our own contestant share.
namespace seqgpu::benchmark {

/// The device that all of them run on; times the program alone.
struct Bench {
  std::shared_ptr<SteeredBackend> backend;
  Device device;
  Clock clock;
};

inline constexpr float kModelScale = 0.1f;  // of all parameters of a model

HostTensor random_tensor(const std::string& name, const Shape& shape, float scale = 1.f);
/// Gives every parameter the numbers that the other contestants have, by its name; `scale(name)` is their range.
void fill_parameters(Parameters& parameters, const std::function<float(const std::string&)>& scale);
/// The gradient of each parameter, "gradient of <name>".
Results gradients_of(const Trainer& trainer, const Parameters& parameters);

std::unique_ptr<Prepared> prepare_layer(const Bench& bench, const Json& row);
std::unique_ptr<Prepared> prepare_ctc(const Bench& bench, const Json& row);
std::unique_ptr<Prepared> prepare_model(const Bench& bench, const Json& row);
std::unique_ptr<Prepared> prepare_last(const Bench& bench, const Json& row);
std::unique_ptr<Prepared> prepare_stream(const Bench& bench, const Json& row);

}  // namespace seqgpu::benchmark
