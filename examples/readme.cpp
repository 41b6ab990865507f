#include <cstdio>

#include "seqgpu/seqgpu.hpp"

using namespace seqgpu;

int main() {
  Device device = best_device();
  Parameters parameters(device, /*seed=*/1);
  nn::Embedding embed(parameters, "embed", {.vocabulary = 4, .width = 8});
  nn::Recurrent lstm(parameters, "lstm", {.cell = CellKind::lstm, .input = 8, .hidden = 16, .bidirectional = true});
  nn::Linear out(parameters, "out", {.input = 32, .output = 2});
  Trainer trainer(device, parameters, Adam{.rate = 0.01f, .clip_norm = 5.f}, [&](Graph& g) {
    Value words = g.input("words", DType::i32, {"T", "N"}), tags = g.input("tags", DType::i32, {"T", "N"});
    Value lengths = g.input("lengths", DType::i32, {"N"});
    return cross_entropy(out(lstm(embed(words), lengths)), tags, lengths);
  });
  // Two sentences, "1 2 3" and "1 3", side by side: [T, N]. The tag of word 1 depends on the word after it.
  const Batch batch = {{"words", HostTensor::of<std::int32_t>({3, 2}, {1, 1, 2, 3, 3, 0})},
                       {"tags", HostTensor::of<std::int32_t>({3, 2}, {1, 0, 0, 0, 0, 0})},
                       {"lengths", HostTensor::of<std::int32_t>({2}, {3, 2})}};
  for (int step = 0; step < 200; ++step) trainer.step(batch);
  std::printf("%s: loss %.4f after %d steps\n", device.name().c_str(), trainer.report().loss, 200);
  return trainer.report().loss < 0.05f ? 0 : 1;
}
