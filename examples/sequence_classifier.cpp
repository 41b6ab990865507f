// Classifies ragged sequences by their first symbol, which a GRU must hold through all the noise that follows.
#include <algorithm>
#include <cstdio>
#include <random>

#include "seqgpu/seqgpu.hpp"

using namespace seqgpu;

namespace {

constexpr std::int64_t kSteps = 30, kBatch = 32;
constexpr int kClasses = 4, kSymbols = 12;

/// Step 0 shows the class; every later step one of the other symbols. Lengths are 10 to kSteps.
Batch make_batch(std::mt19937& random) {
  Batch batch = {{"symbols", HostTensor(DType::i32, {kSteps, kBatch})},
                 {"lengths", HostTensor(DType::i32, {kBatch})},
                 {"labels", HostTensor(DType::i32, {kBatch})}};
  const auto symbols = batch["symbols"].view<std::int32_t>();
  for (std::size_t i = 0; i < symbols.size(); ++i) {
    symbols[i] =
        static_cast<std::int32_t>(i < kBatch ? random() % kClasses : kClasses + random() % (kSymbols - kClasses));
  }
  std::copy_n(symbols.begin(), kBatch, batch["labels"].view<std::int32_t>().begin());
  for (std::int32_t& length : batch["lengths"].view<std::int32_t>()) {
    length = static_cast<std::int32_t>(10 + random() % (kSteps - 9));
  }
  return batch;
}

}  // namespace

int main() {
  Device device = best_device();
  Parameters parameters(device, /*seed=*/1);
  nn::Embedding embed(parameters, "embed", {.vocabulary = kSymbols, .width = 16, .scale = 1.f});
  nn::Recurrent gru(parameters, "gru", {.cell = CellKind::gru, .input = 16, .hidden = 32});
  nn::Linear out(parameters, "out", {.input = 32, .output = kClasses});
  const auto logits = [&](Graph& g) {
    const Value symbols = g.input("symbols", DType::i32, {"T", "N"}), lengths = g.input("lengths", DType::i32, {"N"});
    return out(gru.run(embed(symbols), lengths, {}, {}).final[0]);  // the state after each sequence's own last step
  };

  Trainer trainer(device, parameters, Adam{.rate = 0.01f, .clip_norm = 1.f},
                  [&](Graph& g) { return cross_entropy(logits(g), g.input("labels", DType::i32, {"N"})); });
  std::mt19937 random(1);
  for (int step = 1; step <= 300; ++step) {
    const float loss = trainer.step(make_batch(random));
    if (step % 50 == 0) std::printf("step %d  loss %.4f\n", step, loss);
  }

  Session session(device, parameters, [&](Graph& g) { g.output("logits", logits(g)); });
  int right = 0, all = 0;
  for (int i = 0; i < 20; ++i) {
    Batch batch = make_batch(random);
    const HostTensor labels = batch.extract("labels").mapped();
    const HostTensor scores = session.run(batch).at("logits");
    for (std::int64_t n = 0; n < kBatch; ++n, ++all) {
      const float* row = scores.view<float>().data() + n * kClasses;
      right += std::max_element(row, row + kClasses) - row == labels.view<std::int32_t>()[static_cast<std::size_t>(n)];
    }
  }
  std::printf("%d of %d new sequences right\n", right, all);
  return right >= all * 95 / 100 ? 0 : 1;
}
