#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "tests/device/device_under_test.hpp"
#include "tests/train/tagger.hpp"

// Whole training steps: losses against the CPU device, and bits against the device itself.
namespace seqgpu {
namespace {

using support::Tagger;
using support::tagger_batch;
using support::TaggerOptions;

// One step's loss is within about 1e-6 of the CPU's (sums of some hundred f32 terms in another order); updates of
// rate 0.05 let that grow from step to step.
constexpr double kLossTolerance = 1e-4;

const Adam kAdam{.rate = 0.05f, .clip_norm = 1.f};

struct Run {
  std::vector<float> losses;
  TensorMap state;
};

Run train(const Device& device, const TaggerOptions& options, int steps) {
  Tagger tagger(device, options);
  Trainer trainer(device, tagger.parameters, kAdam, [&](Graph& g) { return tagger.loss(g); });
  Run run;
  for (int step = 0; step < steps; ++step) {
    const std::int64_t T = step % 2 == 0 ? 5 : 3;  // two plans, taken in turns
    run.losses.push_back(trainer.step(tagger_batch(T, 4, static_cast<unsigned>(step))));
  }
  run.state = trainer.state();
  return run;
}

void expect_close(const std::vector<float>& got, const std::vector<float>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], kLossTolerance) << what << " step " << i;
}

void expect_same_bits(const Run& a, const Run& b, const std::string& what) {
  EXPECT_EQ(a.losses, b.losses) << what;
  ASSERT_EQ(a.state.size(), b.state.size());
  for (const auto& [name, tensor] : a.state) EXPECT_TRUE(tensor.bytes == b.state.at(name).bytes) << what << " " << name;
}

std::vector<TaggerOptions> taggers() {
  std::vector<TaggerOptions> all;
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before}) {
    TaggerOptions o;
    o.cell = cell;
    all.push_back(o);
  }
  TaggerOptions masks;  // every random draw there is
  masks.dropout = 0.3f, masks.recurrent_dropout = 0.2f, masks.zoneout = 0.2f, masks.layers = 2;
  all.push_back(masks);
  TaggerOptions window;
  window.radius = 1, window.bidirectional = false;
  all.push_back(window);
  return all;
}

std::string name_of(const TaggerOptions& o) {
  return std::string(to_string(o.cell)) + (o.bidirectional ? " both ways" : "") + (o.dropout > 0 ? " with masks" : "");
}

TEST(DeviceTraining, LossesAreTheCpus) {
  for (const TaggerOptions& o : taggers())
    expect_close(train(device_under_test(), o, 6).losses, train(cpu_device(1), o, 6).losses, name_of(o));
}

TEST(DeviceTraining, TwoRunsAreTheSameBits) {
  for (const TaggerOptions& o : taggers())
    expect_same_bits(train(device_under_test(), o, 4), train(device_under_test(), o, 4), name_of(o));
}

TEST(DeviceTraining, OneStreamAndManyAreTheSameBits) {
  const bool cuda = device_under_test().kind() == DeviceKind::cuda;
  const auto with_streams = [&](int streams) {
    if (!cuda) return cpu_device(streams);
    std::string why;
    return Device(device::make_cuda_backend({.streams = streams}, why));
  };
  for (const TaggerOptions& o : taggers())
    expect_same_bits(train(with_streams(1), o, 4), train(with_streams(4), o, 4), name_of(o));
}

TEST(DeviceTraining, ReplayAndSingleLaunchesAreTheSameBits) {
  if (device_under_test().kind() != DeviceKind::cuda) GTEST_SKIP() << "a CPU has no graphs to replay";
  std::string why;
  const Device single(device::make_cuda_backend({.graphs = false}, why));
  for (const TaggerOptions& o : taggers())
    expect_same_bits(train(device_under_test(), o, 4), train(single, o, 4), name_of(o));
}

// The demonstration's corpus and model (a bidirectional LSTM over words), smaller, for its first steps.
TEST(DeviceTraining, DemoCorpusStepsAreTheCpus) {
  const data::TravelCorpus corpus = data::travel_corpus(1, 60);
  const data::Vocabulary vocabulary = data::Vocabulary::build(corpus.train);
  const data::Labels labels = data::Labels::build(corpus.train);
  const auto batches = data::make_batches(corpus.train, vocabulary, labels, nullptr,
                                          {.batch_size = 8, .length_multiple = 4, .full_batches = true}, 0);
  const auto losses = [&](const Device& device) {
    Parameters parameters(device, 1);
    const nn::Embedding words(parameters, "words", {vocabulary.size(), 16, 0.2f});
    nn::RecurrentLayerOptions layer{.cell = CellKind::lstm, .input = 16, .hidden = 20, .bidirectional = true};
    layer.forget_bias = 1.f;
    const nn::Recurrent recurrent(parameters, "recurrent", layer);
    const nn::Linear output(parameters, "output", {40, labels.size(), true});
    Trainer trainer(device, parameters, Adam{.rate = 0.01f, .clip_norm = 5.f}, [&](Graph& g) {
      const Value lengths = g.input("lengths", DType::i32, {"N"});
      const Value x = dropout(words(g.input("words", DType::i32, {"T", "N"})), 0.2f);
      return cross_entropy(output(recurrent(x, lengths)), g.input("tags", DType::i32, {"T", "N"}), lengths);
    });
    std::vector<float> result;
    for (std::size_t i = 0; i < batches.size() && i < 5; ++i)
      result.push_back(
          trainer.step({{"words", batches[i].words}, {"tags", batches[i].tags}, {"lengths", batches[i].lengths}}));
    return result;
  };
  const std::vector<float> cpu = losses(cpu_device(1));
  expect_close(losses(device_under_test()), cpu, "demo corpus");
  EXPECT_LT(cpu.back(), cpu.front());
}

// What one device saved, another goes on from.
TEST(DeviceTraining, StateMovesBetweenDevices) {
  const TaggerOptions options;
  const auto continued = [&](const Device& first, const Device& second) {
    Tagger before(first, options), after(second, options);
    Trainer teacher(first, before.parameters, kAdam, [&](Graph& g) { return before.loss(g); });
    for (unsigned step = 0; step < 3; ++step) teacher.step(tagger_batch(4, 3, step));
    Trainer heir(second, after.parameters, kAdam, [&](Graph& g) { return after.loss(g); });
    after.parameters.set_all(before.parameters.all());
    heir.restore(teacher.state());
    std::vector<float> losses;
    for (unsigned step = 3; step < 6; ++step) losses.push_back(heir.step(tagger_batch(4, 3, step)));
    return losses;
  };
  const Device cpu = cpu_device(1), device = device_under_test();
  const std::vector<float> want = continued(cpu, cpu);
  expect_close(continued(cpu, device), want, "from the CPU");
  expect_close(continued(device, cpu), want, "to the CPU");
}

}  // namespace
}  // namespace seqgpu
