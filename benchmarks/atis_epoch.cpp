// One epoch of an ATIS slot tagger: embedding 100, BiLSTM 100 + 100, softmax, Adam, norm clipping, N = 16. Times epochs
// and, for the contestant of atis_epoch.py, writes the very batches to a file. scripts/bench_atis_epoch runs both.
// Usage: atis_epoch TRAIN.tsv BATCHES EPOCHS
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "seqgpu/data/batching.hpp"
#include "seqgpu/seqgpu.hpp"

namespace {

using namespace seqgpu;

void write(std::ofstream& file, std::int32_t value) { file.write(reinterpret_cast<const char*>(&value), sizeof value); }
void write(std::ofstream& file, const HostTensor& tensor) {
  file.write(reinterpret_cast<const char*>(tensor.bytes.data()), static_cast<std::streamsize>(tensor.bytes.size()));
}

/// i32: words, tags, batches; then per batch T, N, words [T, N], tags [T, N], lengths [N].
void write_batches(const char* path, const std::vector<data::SequenceBatch>& batches, int words, int tags) {
  std::ofstream file(path, std::ios::binary);
  for (const int v : {words, tags, static_cast<int>(batches.size())}) write(file, v);
  for (const data::SequenceBatch& b : batches) {
    write(file, static_cast<std::int32_t>(b.words.shape[0]));
    write(file, static_cast<std::int32_t>(b.words.shape[1]));
    for (const HostTensor* tensor : {&b.words, &b.tags, &b.lengths}) write(file, *tensor);
  }
}

int run(const char* train_path, const char* batches_path, int epochs) {
  const auto train = data::read_iob(train_path);
  const auto vocabulary = data::Vocabulary::build(train);
  const auto labels = data::Labels::build(train);
  data::BatchOptions options;
  options.batch_size = 16;
  const auto batches = data::make_batches(train, vocabulary, labels, nullptr, options, 0);
  write_batches(batches_path, batches, vocabulary.size(), labels.size());

  const Device device = cpu_device();
  Parameters parameters(device, 1);
  const nn::Embedding embed(parameters, "embed", {.vocabulary = vocabulary.size(), .width = 100});
  const nn::Recurrent lstm(parameters, "lstm",
                           {.cell = CellKind::lstm, .input = 100, .hidden = 100, .bidirectional = true});
  const nn::Linear out(parameters, "out", {.input = 200, .output = labels.size()});
  Trainer trainer(device, parameters, Adam{.rate = 1e-3f, .clip_norm = 5.f}, [&](Graph& g) {
    const Value lengths = g.input("lengths", DType::i32, {"N"});
    const Value words = g.input("words", DType::i32, {"T", "N"});
    return cross_entropy(out(lstm(embed(words), lengths)), g.input("tags", DType::i32, {"T", "N"}), lengths);
  });
  std::vector<Batch> inputs;
  for (const auto& b : batches) inputs.push_back({{"words", b.words}, {"tags", b.tags}, {"lengths", b.lengths}});
  for (int epoch = 0; epoch <= epochs; ++epoch) {  // the first is warm-up: it plans each shape
    const auto start = std::chrono::steady_clock::now();
    double loss = 0;
    for (const Batch& input : inputs) loss += static_cast<double>(trainer.step(input));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (epoch > 0) std::printf("%.4f %.4f\n", seconds.count(), loss / static_cast<double>(inputs.size()));
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: atis_epoch TRAIN.tsv BATCHES EPOCHS\n");
    return 1;
  }
  return run(argv[1], argv[2], std::atoi(argv[3]));
}
