// One recurrent layer stack in f64, from a file to a file: the library's side of torch_oracle.py.
// Reads x, dy, lengths and the parameters, whose names are PyTorch's; writes y and the gradient of sum(y * dy) with
// respect to x and each parameter. Usage: run_layer IN.safetensors OUT.safetensors
#include <cstdio>
#include <exception>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/seqgpu.hpp"

namespace {

using namespace seqgpu;

nn::RecurrentLayerOptions options_of(const std::map<std::string, std::string>& m) {
  nn::RecurrentLayerOptions o;
  const std::string& cell = m.at("cell");
  o.cell = cell == "lstm" ? CellKind::lstm : cell == "gru" ? CellKind::gru : CellKind::elman;
  o.options.activation = cell == "rnn_relu" ? Activation::relu : Activation::tanh;
  o.input = std::stoll(m.at("input"));
  o.hidden = std::stoll(m.at("hidden"));
  o.layers = std::stoi(m.at("layers"));
  o.bidirectional = m.at("directions") == "2";
  o.projection = std::stoll(m.at("projection"));
  return o;
}

void run(const char* from, const char* to) {
  const TensorFile in = read_safetensors(from);
  const Device device = cpu_device(1);
  Parameters parameters(device, 1, DType::f64);
  const HostTensor& x = in.tensors.at("x");
  parameters.add("x", x.shape, {});
  const nn::Recurrent layers(parameters, "rnn", options_of(in.metadata));
  for (const std::string& name : parameters.names()) {
    parameters.set(name, in.tensors.at(name == "x" ? name : name.substr(4)));  // "rnn.weight_ih_l0"
  }
  Trainer trainer(device, parameters, Sgd{.rate = 0.f}, [&](Graph& g) {
    const Value y = layers(parameters.use(g, "x"), g.input("lengths", DType::i32, {"N"}));
    g.output("y", y);
    return reduce_all(mul(y, g.input("dy", DType::f64, {"T", "N", "R"})), Reduction::sum);
  });
  trainer.step({{"lengths", in.tensors.at("lengths")}, {"dy", in.tensors.at("dy")}});
  TensorFile out;
  out.tensors["y"] = trainer.output("y");
  for (const std::string& name : parameters.names()) {
    out.tensors[name == "x" ? "d x" : "d " + name.substr(4)] = trainer.gradient(name);
  }
  write_safetensors(to, out);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 1;
  try {
    run(argv[1], argv[2]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "run_layer: %s\n", error.what());
    return 1;
  }
  return 0;
}
