#include "seqgpu_layer.hpp"

#include <cmath>

namespace seqgpu::benchmark {

namespace {

CellKind cell_of(const Workload& w) {
  if (w.cell == "lstm") return CellKind::lstm;
  if (w.cell == "gru") return CellKind::gru;
  if (w.cell == "elman") return CellKind::elman;
  throw std::runtime_error("no such cell: " + w.cell);
}

/// "rnn.weight_ih_l1_reverse", as PyTorch names it.
std::string weight(const char* what, int layer, int direction) {
  return std::string("rnn.") + what + "_l" + std::to_string(layer) + (direction == 0 ? "" : "_reverse");
}

}  // namespace

LayerParameters::LayerParameters(const Device& device, const Workload& w) : w_(w), parameters_(device, 1) {
  const std::int64_t H = w.H, GH = static_cast<std::int64_t>(gate_count(cell_of(w))) * H;
  parameters_.add("x", {w.T, w.N, w.I}, {});
  parameters_.add(kGiven, {w.T, w.N, w.directions * H}, {});
  for (int layer = 0; layer < w.layers; ++layer) {
    for (int direction = 0; direction < w.directions; ++direction) {
      parameters_.add(weight("weight_ih", layer, direction), {GH, w.inputs(layer)}, {});
      parameters_.add(weight("weight_hh", layer, direction), {GH, H}, {});
      parameters_.add(weight("bias_ih", layer, direction), {GH}, {});
      parameters_.add(weight("bias_hh", layer, direction), {GH}, {});
    }
  }
  for (const std::string& name : parameters_.names()) {
    const bool whole = name == "x" || name == kGiven;
    const Shape shape = parameters_.get(name).shape;
    std::vector<float> values = random_values(name, static_cast<std::size_t>(shape.elements()),
                                              whole ? 1.f : 1.f / std::sqrt(static_cast<float>(H)));
    if (whole) clear_padding(values, w, static_cast<int>(shape[2]));
    parameters_.set(name, HostTensor::of(shape, values));
  }
  if (w.ragged) batch_["lengths"] = HostTensor::of(Shape{w.N}, w.lengths());
}

Value LayerParameters::layers(Graph& g, Precision precision) const {
  Value x = parameters_.use(g, "x");
  RecurrentInputs inputs;
  if (w_.ragged) inputs.lengths = g.input("lengths", DType::i32, {"N"});
  for (int layer = 0; layer < w_.layers; ++layer) {
    std::vector<Value> outputs;
    for (int direction = 0; direction < w_.directions; ++direction) {
      const auto use = [&](const char* what) { return parameters_.use(g, weight(what, layer, direction)); };
      RecurrentWeights weights;
      weights.w_ih = use("weight_ih");
      weights.w_hh = use("weight_hh");
      weights.b_ih = use("bias_ih");
      weights.b_hh = use("bias_hh");
      RecurrentOptions options;
      options.cell = cell_of(w_);
      options.direction = direction == 0 ? Direction::forward : Direction::reverse;
      options.precision = precision;
      outputs.push_back(recurrent(x, options, weights, inputs).output);
    }
    x = outputs.size() == 1 ? outputs[0] : concat(outputs, -1);
  }
  return x;
}

LayerPass::LayerPass(const Device& device, LayerParameters& p, Precision precision, Pass pass, bool whole) : p_(p) {
  const int T = p.workload().T;
  const auto y = [&p, precision](Graph& g) { return p.layers(g, precision); };
  if (pass == Pass::train) {
    train_ = std::make_unique<Backpropagation>(device, p.all(), y);
  } else {
    session_ = std::make_unique<Session>(device, p.all(), [y, T, whole](Graph& g) {
      const Value all = y(g);
      g.output("y", whole ? all : slice(all, 0, T - 1, T));
    });
  }
}

void LayerPass::run() {
  if (train_) {
    train_->run(p_.batch());
  } else {
    session_->run(p_.batch());
  }
}

Results LayerPass::results() {
  if (train_) {
    train_->run(p_.batch());
    return train_->gradients();
  }
  const HostTensor y = session_->run(p_.batch()).at("y");
  const auto values = y.view<float>();
  return {{"y", {values.begin(), values.end()}}};
}

}  // namespace seqgpu::benchmark
