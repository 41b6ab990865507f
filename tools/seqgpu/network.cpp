#include "network.hpp"

namespace seqgpu::tool {
namespace {

Activation activation_named(const std::string& name) {
  if (name == "tanh") return Activation::tanh;
  if (name == "sigmoid") return Activation::sigmoid;
  return name == "relu" ? Activation::relu : Activation::linear;
}

Precision precision_named(const std::string& name) {
  if (name == "bf16") return Precision::bf16;
  return name == "tf32" ? Precision::tf32 : Precision::f32;
}

}  // namespace

bool is_bidirectional(const std::string& model) { return model.rfind("bi", 0) == 0; }

nn::RecurrentLayerOptions recurrent_layers(const Config& config, std::int64_t input) {
  nn::RecurrentLayerOptions options;
  options.input = input;
  options.hidden = config.hidden;
  options.layers = static_cast<int>(config.layers);
  options.bidirectional = is_bidirectional(config.model);
  options.dropout = static_cast<float>(config.dropout);
  options.options.precision = precision_named(config.precision);
  if (config.model.ends_with("lstm")) {
    options.cell = CellKind::lstm;
    options.forget_bias = 1.f;
  } else if (config.model.ends_with("gru")) {
    options.cell = CellKind::gru;
  } else {
    options.cell = CellKind::elman;
    options.options.activation = activation_named(config.activation);
  }
  if (config.model == "jordan") {
    options.projection = config.hidden;
    options.projection_bias = true;
    options.options.projection_activation = activation_named(config.jordan_activation);
  }
  return options;
}

}  // namespace seqgpu::tool
