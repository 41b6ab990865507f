#include "seqgpu_parts.hpp"

namespace seqgpu::benchmark {

HostTensor random_tensor(const std::string& name, const Shape& shape, float scale) {
  return HostTensor::of(shape, random_values(name, static_cast<std::size_t>(shape.elements()), scale));
}

void fill_parameters(Parameters& parameters, const std::function<float(const std::string&)>& scale) {
  for (const std::string& name : parameters.names()) {
    const Shape shape = parameters.get(name).shape;
    parameters.set(name, random_tensor(name, shape, scale(name)));
  }
}

Results gradients_of(const Trainer& trainer, const Parameters& parameters) {
  Results results;
  for (const std::string& name : parameters.names()) {
    const HostTensor gradient = trainer.gradient(name);
    const auto values = gradient.view<float>();
    results.emplace_back("gradient of " + name, std::vector<float>(values.begin(), values.end()));
  }
  return results;
}

}  // namespace seqgpu::benchmark
