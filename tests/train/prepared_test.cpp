#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

#include "graph/data.hpp"
#include "schedule/program.hpp"
#include "tests/support/sharing_cpu.hpp"
#include "tests/train/tagger.hpp"

// What a session packs once: the same bits as packing at every run, new when a parameter is, and accounted for.
namespace seqgpu {
namespace {

/// A stack of recurrent layers under a linear one.
struct Model {
  Parameters parameters;
  nn::RecurrentLayerOptions options;
  nn::Recurrent rnn;
  nn::Linear head;

  Model(const Device& device, const nn::RecurrentLayerOptions& o, DType dtype = DType::f32)
      : parameters(device, 5, dtype),
        options(o),
        rnn(parameters, "rnn", o),
        head(parameters, "head",
             {.input = (o.projection > 0 ? o.projection : o.hidden) * (o.bidirectional ? 2 : 1), .output = 5}) {}

  void build(Graph& g) const {
    const Value x = g.input("x", parameters.dtype(), {"T", "N", "I"});
    const auto result = rnn.run(x, g.input("lengths", DType::i32, {"N"}), {}, {});
    g.output("y", head(result.output));
    for (std::size_t i = 0; i < result.final.size(); ++i) g.output("final" + std::to_string(i), result.final[i]);
  }
  /// The same of copies of the parameters, which a session can take for nothing that stays.
  void build_from_copies(Graph& g) const {
    for (int i = 0; i < static_cast<int>(parameters.names().size()); ++i) {
      const Value parameter = parameters.use(g, i);
      g.data().parameters[i] = affine(parameter, 1.f).id;
    }
    build(g);
  }
  Batch batch(std::int64_t T, std::int64_t N) const {
    std::mt19937 random(static_cast<unsigned>(T * 100 + N));
    const auto draw = [&] { return static_cast<double>(random() % 2001) / 1000.0 - 1.0; };
    HostTensor x(parameters.dtype(), {T, N, options.input}), lengths(DType::i32, {N});
    if (x.dtype == DType::f64) {
      for (double& v : x.view<double>()) v = draw();
    } else {
      for (float& v : x.view<float>()) v = static_cast<float>(draw());
    }
    for (std::int32_t& l : lengths.view<std::int32_t>()) l = static_cast<std::int32_t>(1 + random() % T);
    return {{"x", x}, {"lengths", lengths}};
  }
};

struct Sessions {
  Session prepared, copying;
  Sessions(const Device& device, const Model& model)
      : prepared(device, model.parameters, [&model](Graph& g) { model.build(g); }),
        copying(device, model.parameters, [&model](Graph& g) { model.build_from_copies(g); }) {}
};

void expect_same(const TensorMap& a, const TensorMap& b, const std::string& what) {
  ASSERT_EQ(a.size(), b.size()) << what;
  for (const auto& [name, tensor] : a) EXPECT_EQ(tensor.bytes, b.at(name).bytes) << what << ": " << name;
}

/// Doubles what is in a parameter.
HostTensor doubled(HostTensor tensor) {
  for (float& v : tensor.view<float>()) v *= 2;
  return tensor;
}

constexpr char kPrepared[] = "packed once";

struct Variant {
  std::string name;
  nn::RecurrentLayerOptions options;
  DType dtype = DType::f32;
};

std::vector<Variant> variants() {
  std::vector<Variant> all;
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before}) {
    for (const std::int64_t hidden : {9, 32}) {  // padded, and whole packs
      const std::string name = to_string(cell) + std::string(" ") + std::to_string(hidden);
      const nn::RecurrentLayerOptions plain{.cell = cell, .input = 7, .hidden = hidden};
      all.push_back({name, plain});
      all.push_back({name + " f64", plain, DType::f64});
      nn::RecurrentLayerOptions stacked = plain;
      stacked.layers = 2, stacked.bidirectional = true;
      all.push_back({name + " stacked, both directions", stacked});
      nn::RecurrentLayerOptions bf16 = plain;
      bf16.options.precision = Precision::bf16;
      all.push_back({name + " bf16", bf16});
      if (cell != CellKind::elman && cell != CellKind::lstm) continue;
      nn::RecurrentLayerOptions projected = plain;
      projected.projection = 6, projected.projection_bias = true;
      all.push_back({name + " projection", projected});
    }
  }
  nn::RecurrentLayerOptions peepholes{.cell = CellKind::lstm, .input = 7, .hidden = 20};
  peepholes.peephole = true, peepholes.bias = false;
  all.push_back({"lstm peepholes", peepholes});
  return all;
}

TEST(Prepared, GivesTheBitsOfPackingAtEveryRun) {
  for (const int threads : {1, 2}) {
    const Device device = support::sharing_cpu(threads);
    for (const Variant& variant : variants()) {
      const Model model(device, variant.options, variant.dtype);
      Sessions sessions(device, model);
      const Batch first = model.batch(4, 3), second = model.batch(6, 1);
      for (const Batch* batch : {&first, &second, &first, &second}) {
        expect_same(sessions.prepared.run(*batch), sessions.copying.run(*batch), variant.name);
      }
      EXPECT_NE(sessions.prepared.explain(first).find(kPrepared), std::string::npos) << variant.name;
      EXPECT_EQ(sessions.copying.explain(first).find(kPrepared), std::string::npos) << variant.name;
    }
  }
}

TEST(Prepared, FollowsEveryParameter) {
  const Device device = cpu_device(2);
  nn::RecurrentLayerOptions options{.cell = CellKind::lstm, .input = 7, .hidden = 12};
  options.peephole = true, options.projection = 6, options.projection_bias = true;
  Model model(device, options);
  Sessions sessions(device, model);
  const Batch batch = model.batch(4, 2), other = model.batch(3, 5);
  TensorMap last = sessions.prepared.run(batch);
  for (const std::string& name : model.parameters.names()) {
    model.parameters.set(name, doubled(model.parameters.get(name)));
    const TensorMap now = sessions.prepared.run(batch);
    EXPECT_NE(now.at("y").bytes, last.at("y").bytes) << name;
    expect_same(now, sessions.copying.run(batch), name);
    expect_same(sessions.prepared.run(other), sessions.copying.run(other), name + ", another shape");
    last = now;
  }
  TensorMap values = model.parameters.all();
  for (auto& [name, value] : values) value = doubled(value);
  model.parameters.set_all(values);  // as a checkpoint's parameters come back
  expect_same(sessions.prepared.run(other), sessions.copying.run(other), "set_all");
  EXPECT_NE(sessions.prepared.run(batch).at("y").bytes, last.at("y").bytes);
}

TEST(Prepared, FollowsATrainer) {
  const Device device = cpu_device(2);
  support::Tagger tagger(device, {.layers = 2, .hidden = 16});
  const auto scores = [&](Graph& g) { g.output("scores", tagger.scores(g)); };
  Session session(device, tagger.parameters, scores);
  const Batch batch = support::tagger_batch(5, 4, 1);
  Batch inputs = batch;
  inputs.erase("labels");
  TensorMap last = session.run(inputs);
  Trainer trainer(device, tagger.parameters, Adam{.rate = 0.01f}, [&](Graph& g) { return tagger.loss(g); });
  for (int step = 0; step < 3; ++step) {
    trainer.step(batch);
    const TensorMap now = session.run(inputs);
    EXPECT_NE(now.at("scores").bytes, last.at("scores").bytes);
    Session fresh(device, tagger.parameters, scores);
    expect_same(now, fresh.run(inputs), "after step " + std::to_string(step));
    last = now;
  }
  EXPECT_EQ(trainer.explain(batch).find(kPrepared), std::string::npos);  // its weights change with each step
}

TEST(Prepared, ALayerUsedTwiceAtOnce) {
  const Device device = support::sharing_cpu(2);
  const Model model(device, {.cell = CellKind::gru, .input = 7, .hidden = 16});
  const auto twice = [&](Graph& g) {
    const Value x = g.input("x", DType::f32, {"T", "N", "I"}), lengths = g.input("lengths", DType::i32, {"N"});
    g.output("a", model.rnn(x, lengths));
    g.output("b", model.rnn(affine(x, -1.f), lengths));
  };
  Session session(device, model.parameters, twice), copying(device, model.parameters, [&](Graph&g) {
    for (int i = 0; i < static_cast<int>(model.parameters.names().size()); ++i) {
      g.data().parameters[i] = affine(model.parameters.use(g, i), 1.f).id;
    }
    twice(g);
  });
  for (const auto& [T, N] : {std::pair{4, 3}, {2, 8}, {4, 3}}) {
    const Batch batch = model.batch(T, N);
    expect_same(session.run(batch), copying.run(batch), "a layer used twice");
  }
}

TEST(Prepared, ARunThatFailsLeavesNothingHalfDone) {
  for (const int threads : {1, 2}) {
    const Device device = support::sharing_cpu(threads);
    Model model(device, {.cell = CellKind::lstm, .input = 7, .hidden = 16, .layers = 2, .bidirectional = true});
    Sessions sessions(device, model);
    const Batch batch = model.batch(4, 3);
    Batch wrong = batch;
    wrong.at("lengths").view<std::int32_t>()[1] = 5;
    EXPECT_THROW(sessions.prepared.run(wrong), Error);
    expect_same(sessions.prepared.run(batch), sessions.copying.run(batch), "after a failed first run");
    model.parameters.set("rnn.weight_hh_l1", doubled(model.parameters.get("rnn.weight_hh_l1")));
    EXPECT_THROW(sessions.prepared.run(wrong), Error);
    expect_same(sessions.prepared.run(batch), sessions.copying.run(batch), "after a failed run of new weights");
  }
}

TEST(Prepared, IsCountedAndSharedByShapes) {
  const Device device = cpu_device(2);
  Model model(device, {.cell = CellKind::lstm, .input = 7, .hidden = 32, .layers = 2, .bidirectional = true});
  const auto program = [&](const Batch& batch) {
    Graph g(false);
    for (const auto& [name, tensor] : batch) g.bind(name, tensor.shape);
    model.build(g);
    return schedule::plan(std::move(g.data()), device.backend().table(), device.backend().streams(), true);
  };
  const Batch large = model.batch(9, 5), small = model.batch(1, 1);
  const schedule::Program largest = program(large);
  std::int64_t prepared = 0;
  for (const schedule::Step& step : largest.steps) {
    if (step.prepared_lasts) prepared += step.prepared_bytes;
  }
  const std::int64_t weights = model.parameters.elements() * 4;
  EXPECT_GE(prepared, weights * 9 / 10);
  EXPECT_LE(prepared, weights * 5 / 4);

  const std::int64_t before = device.memory().current;
  Session session(device, model.parameters, [&](Graph& g) { model.build(g); });
  const std::int64_t fixed = device.memory().current - before;
  session.run(small);
  EXPECT_EQ(device.memory().current, before + fixed + program(small).arena_bytes + prepared);
  session.run(large);
  for (const Batch& batch : {model.batch(3, 2), large, small}) session.run(batch);
  EXPECT_EQ(device.memory().current, before + fixed + largest.arena_bytes + prepared);
  EXPECT_EQ(device.memory().peak, device.memory().current);
}

}  // namespace
}  // namespace seqgpu
