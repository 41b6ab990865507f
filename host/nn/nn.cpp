#include "seqgpu/nn.hpp"

#include <cmath>

#include "seqgpu/error.hpp"

namespace seqgpu::nn {
namespace {

Initializer uniform(float scale) { return {Initializer::Kind::uniform, scale, 0, 0, 0.f}; }
// PyTorch's start for linear and recurrent layers.
Initializer inverse_root(std::int64_t width) {
  return uniform(width > 0 ? 1.f / std::sqrt(static_cast<float>(width)) : 0.f);
}

void positive(const char* module, const char* field, std::int64_t value) {
  if (value < 1) {
    throw Error(ErrorCode::invalid_argument, module, field, "must be at least 1, got " + std::to_string(value));
  }
}

}  // namespace

Embedding::Embedding(Parameters& parameters, const std::string& name, const EmbeddingOptions& o)
    : parameters_(&parameters) {
  positive("nn::Embedding", "vocabulary", o.vocabulary);
  positive("nn::Embedding", "width", o.width);
  weight_ = parameters.add(name + ".weight", Shape{o.vocabulary, o.width}, uniform(o.scale));
}

Value Embedding::operator()(Value ids) const { return embedding(parameters_->use(*ids.graph, weight_), ids); }

Linear::Linear(Parameters& parameters, const std::string& name, const LinearOptions& o) : parameters_(&parameters) {
  positive("nn::Linear", "input", o.input);
  positive("nn::Linear", "output", o.output);
  weight_ = parameters.add(name + ".weight", Shape{o.output, o.input}, inverse_root(o.input));
  if (o.bias) bias_ = parameters.add(name + ".bias", Shape{o.output}, inverse_root(o.input));
}

Value Linear::operator()(Value x) const {
  return linear(x, parameters_->use(*x.graph, weight_), bias_ < 0 ? Value{} : parameters_->use(*x.graph, bias_));
}

Recurrent::Recurrent(Parameters& parameters, const std::string& name, const RecurrentLayerOptions& o)
    : parameters_(&parameters), options_(o) {
  positive("nn::Recurrent", "input", o.input);
  positive("nn::Recurrent", "hidden", o.hidden);
  positive("nn::Recurrent", "layers", o.layers);
  if (o.identity_start && o.cell != CellKind::elman) {
    throw Error(ErrorCode::invalid_argument, "nn::Recurrent", "identity_start", "is for elman only");
  }
  if (o.forget_bias != 0.f && o.cell != CellKind::lstm) {
    throw Error(ErrorCode::invalid_argument, "nn::Recurrent", "forget_bias", "is for lstm only");
  }
  const std::int64_t gates = gate_count(o.cell) * o.hidden, width = o.projection > 0 ? o.projection : o.hidden;
  const int directions = o.bidirectional ? 2 : 1;
  const Initializer start = inverse_root(o.hidden);
  for (int layer = 0; layer < o.layers; ++layer) {
    for (int direction = 0; direction < directions; ++direction) {
      const std::string suffix = "_l" + std::to_string(layer) + (direction ? "_reverse" : "");
      const auto add = [&](const char* what, const Shape& shape, const Initializer& init) {
        return parameters.add(name + "." + what + suffix, shape, init);
      };
      Weights w{};
      w.w_ih = add("weight_ih", Shape{gates, layer == 0 ? o.input : directions * width}, start);
      const Initializer identity{Initializer::Kind::identity, 1.f, 0, 0, 0.f};
      w.w_hh = add("weight_hh", Shape{gates, width}, o.identity_start ? identity : start);
      w.b_ih = w.b_hh = w.peephole = w.projection = w.projection_bias = -1;
      if (o.bias) {
        Initializer bias = o.identity_start ? Initializer{} : start;
        if (o.forget_bias != 0.f) {
          bias.rows_begin = o.hidden;  // gate order i f g o
          bias.rows_end = 2 * o.hidden;
        }
        bias.rows_value = o.forget_bias;
        w.b_ih = add("bias_ih", Shape{gates}, bias);
        bias.rows_value = 0.f;
        w.b_hh = add("bias_hh", Shape{gates}, bias);
      }
      if (o.projection > 0) w.projection = add("weight_hr", Shape{width, o.hidden}, start);
      if (o.projection > 0 && o.projection_bias) w.projection_bias = add("bias_hr", Shape{width}, start);
      if (o.peephole) w.peephole = add("peephole", Shape{unit_parameter_count(o.cell), o.hidden}, start);
      weights_.push_back(w);
    }
  }
}

Recurrent::Result Recurrent::run(Value x, Value lengths, Value resets, const std::vector<Value>& initial) const {
  const std::size_t directions = options_.bidirectional ? 2 : 1;
  const auto states = static_cast<std::size_t>(state_count(options_.cell));
  if (!initial.empty() && initial.size() != weights_.size() * states) {
    throw Error(ErrorCode::invalid_argument, "nn::Recurrent", "initial",
                "must hold layers * directions * states = " + std::to_string(weights_.size() * states) +
                    " values, got " + std::to_string(initial.size()));
  }
  const auto use = [&](int index) { return index < 0 ? Value{} : parameters_->use(*x.graph, index); };
  Result result;
  for (std::size_t layer = 0; layer < static_cast<std::size_t>(options_.layers); ++layer) {
    if (layer > 0) x = dropout(x, options_.dropout, options_.shared_dropout);
    std::vector<Value> outputs;
    for (std::size_t direction = 0; direction < directions; ++direction) {
      const std::size_t index = layer * directions + direction;
      const Weights& w = weights_[index];
      RecurrentOptions o = options_.options;
      o.cell = options_.cell;
      o.direction = direction ? Direction::reverse : Direction::forward;
      RecurrentInputs in{lengths, resets, {}};
      if (!initial.empty()) {
        const auto first = initial.begin() + static_cast<std::ptrdiff_t>(index * states);
        in.initial.assign(first, first + static_cast<std::ptrdiff_t>(states));
      }
      RecurrentResult r = recurrent(x, o,
                                    {use(w.w_ih), use(w.w_hh), use(w.b_ih), use(w.b_hh), use(w.peephole),
                                     use(w.projection), use(w.projection_bias)},
                                    in);
      outputs.push_back(r.output);
      result.final.insert(result.final.end(), r.final.begin(), r.final.end());
    }
    x = outputs.size() == 1 ? outputs[0] : concat(outputs, -1);
  }
  result.output = x;
  return result;
}

Value Recurrent::operator()(Value x, Value lengths) const { return run(x, lengths, {}, {}).output; }

}  // namespace seqgpu::nn
