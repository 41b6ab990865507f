#include <gtest/gtest.h>

#include <functional>

#include "seqgpu/seqgpu.hpp"

// What wrong use says: the whole text, so that a change of it is seen.
namespace seqgpu {
namespace {

void expect_error(const std::string& what, const std::function<void()>& act) {
  try {
    act();
    ADD_FAILURE() << "nothing thrown, expected: " << what;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(std::string(e.what()), what);
    EXPECT_EQ(what.find(e.operation()), 0u);
  }
}

/// A graph with one input per given shape: f32 unless the name begins with i (i32) or d (f64).
struct Inputs {
  Graph graph{true};
  Value operator()(const std::string& name, const Shape& shape) {
    static const char* const numbers[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"};
    graph.bind(name, shape);
    const auto n = [&](int axis) { return numbers[shape[axis]]; };
    const DType d = name[0] == 'i' ? DType::i32 : name[0] == 'd' ? DType::f64 : DType::f32;
    switch (shape.rank()) {
      case 0: return graph.input(name, d, {});
      case 1: return graph.input(name, d, {n(0)});
      case 2: return graph.input(name, d, {n(0), n(1)});
      default: return graph.input(name, d, {n(0), n(1), n(2)});
    }
  }
};

TEST(Messages, Shapes) {
  Inputs in;
  const Value x = in("x", {2, 3, 4}), m = in("m", {2, 3}), w = in("w", {5, 7}), b = in("b", {4, 3}), v = in("v", {2});
  expect_error("linear: weight must be [O, I], got [5, 7] (I=4); x is [2, 3, 4]", [&] { linear(x, w); });
  expect_error("linear: bias must be [O], got [2] (I=3 O=4)", [&] { linear(m, b, v); });
  expect_error("matmul: b must be [K, N], got [4, 3] (K=3); pass transpose_b for [N, K]", [&] { matmul(m, b); });
  expect_error("matmul: a must have at least two axes, got [2]", [&] { matmul(v, b); });
  expect_error("add: b must have the shape of a, [2, 3], or its last axes, got [2]", [&] { add(m, v); });
  expect_error("concat: parts[1] must agree with parts[0] [2, 3] but for axis 1, got [4, 3]", [&] {
    const Value parts[] = {m, b};
    concat(parts, 1);
  });
  expect_error("concat: parts is empty", [] { concat({}); });
  expect_error("slice: begin, end must satisfy 0 <= begin <= end <= 3, got 1 and 4", [&] { slice(m, 1, 1, 4); });
  expect_error("reduce: axis must be in [-2, 2) for [2, 3], got 2", [&] { reduce(m, Reduction::sum, 2); });
  expect_error("reduce: x has an empty axis, which has no maximum", [&] {
    reduce(in("none", {0, 3}), Reduction::max, 0);
  });
  expect_error("context_window: x must be [T, N, E], got [2, 3]", [&] { context_window(m, 1); });
  expect_error("context_window: radius must not be negative, got -1", [&] { context_window(x, -1); });
  expect_error("context_window: lengths must be [N], got [2] (E=4 N=3 T=2)",
               [&] { context_window(x, 1, in("i2", {2})); });
  expect_error("cross_entropy: labels must be [2, 3], the leading axes of logits [2, 3, 4], got [3, 2]", [&] {
    cross_entropy(x, in("i", {3, 2}));
  });
  expect_error("mean_squared_error: target must be [2, 3] like x, got [4, 3]", [&] { mean_squared_error(m, b); });
  expect_error("embedding: table must be [V, E], got [2]", [&] { embedding(v, in("i3", {3})); });
}

TEST(Messages, TypesRatesAndGraphs) {
  Inputs in, other;
  const Value m = in("m", {2, 3}), d = in("d", {2, 3}), ids = in("i", {2});
  expect_error("embedding: ids must be i32, got f32", [&] { embedding(m, m); });
  expect_error("mul: b must be f32, got f64", [&] { mul(m, d); });
  expect_error("softmax: x must be f32 or f64, got i32", [&] { softmax(ids); });
  expect_error("dropout: rate must be in [0, 1), got 1.000000", [&] { dropout(m, 1.f); });
  expect_error("dropout: x must be [T, N, E] for a mask shared by all steps, got [2, 3]",
               [&] { dropout(m, 0.5f, true); });
  expect_error("add: b belongs to another graph than the first argument", [&] { add(m, other("m", {2, 3})); });
  expect_error("activate: x is absent", [] { tanh({}); });
  expect_error("cross_entropy: label_smoothing must be in [0, 1), got -0.500000",
               [&] { cross_entropy(m, ids, {}, {.label_smoothing = -0.5f}); });
}

TEST(Messages, Recurrent) {
  Inputs in;
  const Value x = in("x", {5, 2, 3}), w_ih = in("w_ih", {8, 3}), w_hh = in("w_hh", {8, 2}), bad = in("bad", {8, 3});
  const RecurrentOptions lstm{}, elman{.cell = CellKind::elman};
  const auto run = [&](const RecurrentOptions& o, RecurrentWeights w, RecurrentInputs i = {}) {
    return [=] { recurrent(x, o, w, i); };
  };
  expect_error("recurrent: w_hh must be [G*H, H], got [8, 3] (G=4 H=2 I=3 N=2 T=5)",
               run(lstm, {w_ih, bad, {}, {}, {}, {}, {}}));
  expect_error("recurrent: w_ih must be [G*H, I], got [8, 2] (G=4 I=3 N=2 T=5); H is the number of units",
               run(lstm, {w_hh, w_hh, {}, {}, {}, {}, {}}));
  expect_error("recurrent: w_hh is absent", run(lstm, {w_ih, {}, {}, {}, {}, {}, {}}));
  expect_error("recurrent: b_ih must be [G*H], got [2] (G=4 H=2 I=3 N=2 T=5)",
               run(lstm, {w_ih, w_hh, in("two", {2}), {}, {}, {}, {}}));
  expect_error("recurrent: lengths must be [N], got [3] (G=4 H=2 I=3 N=2 T=5)",
               run(lstm, {w_ih, w_hh, {}, {}, {}, {}, {}}, {in("i3", {3}), {}, {}}));
  expect_error("recurrent: initial must hold 2 states for lstm, got 1",
               run(lstm, {w_ih, w_hh, {}, {}, {}, {}, {}}, {{}, {}, {in("h", {2, 2})}}));
  expect_error("recurrent: peephole is not defined for cell elman",
               run(elman, {w_ih, w_hh, {}, {}, in("p", {3, 8}), {}, {}}));
  expect_error("recurrent: projection is for elman and lstm, not for gru, which mixes h unit by unit",
               run({.cell = CellKind::gru}, {w_ih, w_hh, {}, {}, {}, w_hh, {}}));
  expect_error("recurrent: zoneout_hidden must be in [0, 1), got 2.000000",
               run({.zoneout_hidden = 2.f}, {w_ih, w_hh, {}, {}, {}, {}, {}}));
  expect_error("recurrent: coupled_gates is for lstm only, not for elman",
               run({.cell = CellKind::elman, .coupled_gates = true}, {w_ih, w_hh, {}, {}, {}, {}, {}}));
  expect_error("recurrent: cell_clip must not be negative, got -1.000000",
               run({.cell_clip = -1.f}, {w_ih, w_hh, {}, {}, {}, {}, {}}));
}

TEST(Messages, Modules) {
  const Device device = cpu_device(1);
  Parameters p(device, 1);
  expect_error("nn::Linear: input must be at least 1, got 0", [&] { nn::Linear(p, "l", {.input = 0, .output = 2}); });
  expect_error("nn::Recurrent: layers must be at least 1, got 0",
               [&] { nn::Recurrent(p, "r", {.input = 1, .hidden = 1, .layers = 0}); });
  expect_error("nn::Recurrent: identity_start is for elman only", [&] {
    nn::RecurrentLayerOptions o{.input = 1, .hidden = 1};
    o.identity_start = true;
    nn::Recurrent(p, "r", o);
  });
  expect_error("nn::Recurrent: initial must hold layers * directions * states = 4 values, got 1", [&] {
    const nn::Recurrent rnn(p, "ok", {.input = 3, .hidden = 2, .bidirectional = true});
    Inputs in;
    const Value x = in("x", {5, 2, 3});
    rnn.run(x, {}, {}, {x});
  });
}

TEST(Messages, ParametersAndOptimizers) {
  const Device device = cpu_device(1);
  Parameters p(device, 1);
  p.add("w", {2, 3}, {});
  p.add("b", {2}, {});
  expect_error("Parameters::add: w exists already with shape [2, 3]; give each module its own name",
               [&] { p.add("w", {1}, {}); });
  expect_error("Parameters::add: name is empty", [&] { p.add("", {1}, {}); });
  expect_error("Parameters::get: v is no parameter; there are: w, b", [&] { p.get("v"); });
  expect_error("Parameters::set: w must be f32 [2, 3], got f32 [3, 2]", [&] {
    p.set("w", HostTensor(DType::f32, {3, 2}));
  });
  expect_error("Parameters::set: w must be f32 [2, 3], got f64 [2, 3]", [&] {
    p.set("w", HostTensor(DType::f64, {2, 3}));
  });
  HostTensor cut(DType::f32, {2});
  cut.bytes.clear();
  expect_error("Parameters::set: b must hold 8 bytes, got 0", [&] { p.set("b", cut); });
  TensorMap all = p.all();
  all.at("w").view<float>()[0] = 7;
  all.erase("b");
  expect_error("Parameters::set_all: b is missing; expected [2]", [&] { p.set_all(all); });
  all["b"] = HostTensor(DType::f32, {3});
  expect_error("Parameters::set_all: b must be f32 [2], got f32 [3]", [&] { p.set_all(all); });
  all["b"] = HostTensor(DType::f32, {2});
  all["c"] = HostTensor(DType::f32, {2});
  expect_error("Parameters::set_all: c is no parameter; there are: w, b", [&] { p.set_all(all); });
  EXPECT_EQ(p.get("w").view<float>()[0], 0.f);  // nothing changed
  expect_error("Parameters: dtype must be f32 or f64, got i32", [&] { Parameters(device, 1, DType::i32); });
  const auto loss = [&](Graph& g) { return reduce_all(p.use(g, "w"), Reduction::sum); };
  expect_error("optimizer: rate must be finite and not negative, got -1.000000",
               [&] { Trainer(device, p, Sgd{.rate = -1.f}, loss); });
  expect_error("optimizer: beta1 must be in [0, 1), got 1.000000",
               [&] { Trainer(device, p, Adam{.beta1 = 1.f}, loss); });
  expect_error("Parameters::add: late comes too late: a Trainer or Session was already made with these parameters",
               [&] { p.add("late", {1}, {}); });
  expect_error("Schedule::step: every must be at least 1, got 0", [] { Schedule::step(0, 0.5f); });
  expect_error("cpu_device: threads must be 0 (all) or more, got -1", [] { cpu_device(-1); });
}

TEST(Messages, Batches) {
  const Device device = cpu_device(1);
  Parameters p(device, 1);
  p.add("table", {4, 3}, {});
  Trainer trainer(device, p, Adam{}, [&](Graph& g) {
    const Value lengths = g.has_input("lengths") ? g.input("lengths", DType::i32, {"N"}) : Value{};
    const Value ids = g.input("ids", DType::i32, {"T", "N"}), labels = g.input("labels", DType::i32, {"T", "N"});
    return cross_entropy(embedding(p.use(g, "table"), ids), labels, lengths);
  });
  const auto i32 = [](const Shape& shape, std::vector<std::int32_t> v) { return HostTensor::of(shape, v); };
  expect_error("Trainer::output: loss has no value before the first step", [&] { trainer.output("loss"); });
  const HostTensor ids = i32({2, 2}, {0, 1, 2, 3}), labels = i32({2, 2}, {0, 1, 2, 0});
  expect_error("Graph::input: labels is not in the batch, which has: ids", [&] { trainer.step({{"ids", ids}}); });
  expect_error(
      "Graph::input: labels must be [T, N], got [3, 2] (N=2 T=2); all inputs of a batch share the extents of equally "
      "named axes",
      [&] {
        trainer.step({{"ids", ids}, {"labels", i32({3, 2}, {0, 0, 0, 0, 0, 0})}});
      });
  expect_error("Trainer::step: ids must be i32, got f32", [&] {
    trainer.step({{"ids", HostTensor(DType::f32, {2, 2})}, {"labels", labels}});
  });
  expect_error("cross_entropy: labels must be in [0, 3) or ignore_index -100, got 3 at step 1 of sequence 0", [&] {
    trainer.step({{"ids", ids}, {"labels", i32({2, 2}, {0, 1, 3, 0})}});
  });
  expect_error("embedding: ids must be in [0, 4), got -1 at element 2; map unknown words to a row of the table first",
               [&] {
                 trainer.step({{"ids", i32({2, 2}, {0, 1, -1, 3})}, {"labels", labels}});
               });
  for (const std::int32_t bad : {-1, 3}) {
    expect_error("cross_entropy: lengths[1] must be in [0, T], got " + std::to_string(bad) + " with T=2", [&] {
      trainer.step({{"ids", ids}, {"labels", labels}, {"lengths", i32({2}, {2, bad})}});
    });
  }
  HostTensor cut = ids;  // its fields are public: shape and bytes may disagree
  cut.bytes.resize(8);
  expect_error("Batch: ids must hold 16 bytes for i32 [2, 2], got 8", [&] {
    trainer.step({{"ids", cut}, {"labels", labels}});
  });
  trainer.step({{"ids", ids}, {"labels", labels}});
  expect_error("Trainer::output: scores was not marked with Graph::output", [&] { trainer.output("scores"); });
  expect_error("Trainer::gradient: scores is no parameter; there are: table", [&] { trainer.gradient("scores"); });
  expect_error("Trainer::restore: control must be u8 [64], got nothing; was it saved with another optimiser or model?",
               [&] { trainer.restore({}); });
  Parameters q(device, 1);
  q.add("w", {2}, {});
  Trainer wrong(device, q, Sgd{}, [&](Graph& g) { return q.use(g, "w"); });
  expect_error("Trainer: build must return a scalar of the graph it was given, the loss, got [2]",
               [&] { wrong.step({}); });
  Graph g;
  expect_error("Graph::axis: T is no axis of any input declared so far", [&] { g.axis("T"); });
  expect_error("Graph::output: y is not a value of this graph", [&] { g.output("y", {}); });
}

TEST(Messages, LengthsOfEveryOperation) {
  const Device device = cpu_device(1);
  Parameters p(device, 1);
  const HostTensor x(DType::f32, {2, 2, 3});
  for (const std::int32_t bad : {-1, 3}) {
    const Batch batch{{"x", x}, {"lengths", HostTensor::of({2}, std::vector<std::int32_t>{2, bad})}};
    const auto run = [&](const std::function<Value(Value, Value)>& op) {
      Session(device, p, [&](Graph& g) {
        g.output("y", op(g.input("x", DType::f32, {"T", "N", "E"}), g.input("lengths", DType::i32, {"N"})));
      }).run(batch);
    };
    const std::string tail = "lengths[1] must be in [0, T], got " + std::to_string(bad) + " with T=2";
    expect_error("context_window: " + tail, [&] { run([](Value v, Value l) { return context_window(v, 1, l); }); });
    expect_error("mean_squared_error: " + tail,
                 [&] { run([](Value v, Value l) { return mean_squared_error(v, tanh(v), l); }); });
  }
}

}  // namespace
}  // namespace seqgpu
