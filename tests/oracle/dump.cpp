#include <cstdio>
#include <string>
#include <vector>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/seqgpu.hpp"

// Runs the layer that a safetensors file describes, forward and backward, and writes what came out.
namespace seqgpu {
namespace {

CellKind cell_named(const std::string& name) {
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru}) {
    if (name == to_string(cell)) return cell;
  }
  throw Error(ErrorCode::invalid_argument, "dump", "cell", "is unknown: " + name);
}

void dump(const std::string& from, const std::string& to) {
  const TensorFile file = read_safetensors(from);
  const auto text = [&](const char* key) { return file.metadata.at(key); };
  nn::RecurrentLayerOptions o;
  o.cell = cell_named(text("cell"));
  o.options.activation = text("relu") == "1" ? Activation::relu : Activation::tanh;
  o.layers = std::stoi(text("layers"));
  o.bidirectional = text("bidirectional") == "1";
  o.bias = text("bias") == "1";
  o.projection = std::stoi(text("projection"));
  o.input = file.tensors.at("x").shape[2];
  o.hidden = std::stoi(text("hidden"));

  const Device device = cpu_device(2);
  Parameters parameters(device, 1, file.tensors.at("x").dtype);
  const nn::Recurrent rnn(parameters, "rnn", o);
  for (const auto& [name, tensor] : file.tensors) {
    if (name == "lengths") continue;
    if (!name.starts_with("rnn.")) parameters.add(name, tensor.shape, {});
    parameters.set(name, tensor);
  }
  const auto states = static_cast<std::size_t>(state_count(o.cell));
  Trainer trainer(device, parameters, Sgd{.rate = 0.f}, [&](Graph& g) {
    const auto use = [&](const char* name) { return parameters.use(g, name); };
    const char* const kInitial[] = {"h0", "c0"};
    const char* const kFinalGradient[] = {"dh", "dc"};
    const auto row = [&](const char* name, std::size_t i) {  // [i] of [layers * directions, N, width]
      const auto at = static_cast<std::int64_t>(i);
      return reduce(slice(use(name), 0, at, at + 1), Reduction::sum, 0);
    };
    const std::size_t count = static_cast<std::size_t>(o.layers) * (o.bidirectional ? 2 : 1);
    std::vector<Value> initial;
    for (std::size_t i = 0; i < count; ++i) {
      for (std::size_t s = 0; s < states; ++s) initial.push_back(row(kInitial[s], i));
    }
    const Value lengths = g.has_input("lengths") ? g.input("lengths", DType::i32, {"N"}) : Value{};
    const nn::Recurrent::Result r = rnn.run(use("x"), lengths, {}, initial);
    g.output("y", r.output);
    Value loss = reduce_all(mul(r.output, use("dy")), Reduction::sum);
    for (std::size_t i = 0; i < r.final.size(); ++i) {
      g.output("final" + std::to_string(i), r.final[i]);
      const Value weighted = mul(r.final[i], row(kFinalGradient[i % states], i / states));
      loss = add(loss, reduce_all(weighted, Reduction::sum));
    }
    return loss;
  });
  Batch batch;
  if (file.tensors.contains("lengths")) batch["lengths"] = file.tensors.at("lengths");
  trainer.step(batch);
  TensorFile out;
  out.tensors["y"] = trainer.output("y");
  for (std::size_t i = 0; i < static_cast<std::size_t>(o.layers) * (o.bidirectional ? 2 : 1) * states; ++i) {
    out.tensors["final" + std::to_string(i)] = trainer.output("final" + std::to_string(i));
  }
  for (const std::string& name : parameters.names()) out.tensors["grad." + name] = trainer.gradient(name);
  write_safetensors(to, out);
}

}  // namespace
}  // namespace seqgpu

int main(int count, char** arguments) {
  if (count != 3) return std::fprintf(stderr, "usage: dump IN.safetensors OUT.safetensors\n"), 2;
  try {
    seqgpu::dump(arguments[1], arguments[2]);
  } catch (const std::exception& e) {
    return std::fprintf(stderr, "%s\n", e.what()), 1;
  }
  return 0;
}
