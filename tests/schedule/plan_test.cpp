#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "schedule/program.hpp"
#include "seqgpu/seqgpu.hpp"

// Programs checked against what they must keep, found anew from streams and waits alone.
namespace seqgpu {
namespace {

using graph::Storage;
using schedule::Program;
using schedule::Step;

Program plan(graph::Data data, int streams) {
  return schedule::plan(std::move(data), cpu_device(1).backend().table(), streams);
}

/// A whole training step: loss, gradients at their places in a flat buffer, and an update after all else.
graph::Data training_step(Graph& g, Value loss) {
  graph::Data& data = g.data();
  g.output("loss", loss);
  std::vector<int> wanted;
  for (const auto& [index, value] : data.parameters) wanted.push_back(value);
  std::vector<int> norm_inputs{-1};
  std::int64_t count = 0;
  for (const auto& [index, value] : data.parameters) {
    count = std::max(count, data.values[value].offset / 4 + data.values[value].shape.elements());
  }
  const auto gradients = graph::gradients(data, loss.id, wanted);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    auto& v = data.values[gradients[i]];
    v.storage = Storage::gradients;
    v.offset = data.values[wanted[i]].offset;
    norm_inputs.push_back(gradients[i]);
  }
  const auto leaf = [&](Storage s) { return graph::add_leaf(data, {count}, DType::f32, s, 0, "flat"); };
  const int gradient = leaf(Storage::gradients);
  norm_inputs[0] = gradient;
  const int control = graph::add_leaf(data, Shape{}, DType::i64, Storage::control, 0, "control");
  graph::add_node(data, op::GradientNormDesc{DType::f32, count}, norm_inputs, {control});
  const int after = graph::add_leaf(data, Shape{}, DType::i64, Storage::control, 0, "control");
  op::OptimizerDesc sgd{};
  sgd.count = count;
  graph::add_node(data, sgd, {gradient, control}, {leaf(Storage::parameters), -1, -1, -1, after});
  data.nodes.back().last = true;
  return std::move(data);
}

struct Span {
  std::string name;
  std::int64_t begin, end;
  int born;                  // -1: before the program
  std::vector<int> touches;  // with born
  bool forever;
};

/// reach[i] holds j: step j has ended when step i starts.
std::vector<std::set<int>> reachable(const Program& p) {
  std::vector<std::set<int>> reach(p.steps.size());
  for (std::size_t i = 0; i < p.steps.size(); ++i) {
    std::vector<int> edges = p.steps[i].waits;
    for (int j = static_cast<int>(i) - 1; j >= 0; --j) {
      if (p.steps[j].stream == p.steps[i].stream) {
        edges.push_back(j);
        break;
      }
    }
    for (const int j : edges) {
      EXPECT_LT(j, static_cast<int>(i));
      reach[i].insert(j);
      reach[i].insert(reach[j].begin(), reach[j].end());
    }
  }
  return reach;
}

/// @return pairs of values that share bytes by an update in place
int check(const Program& p, const std::string& what) {
  const auto reach = reachable(p);
  const auto before = [&](int j, int i) { return reach[i].count(j) > 0; };
  std::vector<int> writer(p.graph.values.size(), -1);
  std::vector<Span> spans(p.graph.values.size());
  for (std::size_t v = 0; v < spans.size(); ++v) {
    spans[v] = {"value " + std::to_string(v), p.offsets[v], p.offsets[v] + p.bytes[v], -1, {}, false};
  }
  for (const auto& [name, value] : p.graph.outputs) spans[value].forever = true;
  for (std::size_t i = 0; i < p.steps.size(); ++i) {
    const Step& s = p.steps[i];
    const int now = static_cast<int>(i);
    for (const int in : s.inputs) {
      if (in < 0) continue;
      spans[in].touches.push_back(now);
      if (p.graph.values[in].producer >= 0) {
        EXPECT_GE(writer[in], 0) << what << ": step " << i << " reads value " << in << " before it is written";
        EXPECT_TRUE(writer[in] < 0 || before(writer[in], now)) << what << ": step " << i << " may start too early";
      }
      const graph::ValueInfo& info = p.graph.values[in];
      EXPECT_TRUE(info.storage != Storage::arena || p.offsets[in] >= 0) << what;
    }
    for (const int out : s.outputs) {
      if (out < 0) continue;
      writer[out] = spans[out].born = now;
      spans[out].touches.push_back(now);
    }
    if (s.workspace_bytes > 0) {
      spans.push_back({"workspace of step " + std::to_string(i),
                       s.workspace_offset,
                       s.workspace_offset + s.workspace_bytes,
                       now,
                       {now},
                       false});
    }
    EXPECT_FALSE(s.prepared_lasts) << what << ": nobody said that parameters stay";
    if (s.prepared_bytes > 0) {
      spans.push_back({"what step " + std::to_string(i) + " prepares",
                       s.prepared_offset,
                       s.prepared_offset + s.prepared_bytes,
                       now,
                       {now},
                       false});
    }
    if (p.graph.nodes[s.node].last) {
      EXPECT_EQ(reach[i].size(), p.steps.size() - 1) << what << ": the update must come after all else";
    }
  }
  int in_place = 0;
  for (std::size_t a = 0; a < spans.size(); ++a) {
    const Span& x = spans[a];
    if (x.begin < 0 || x.begin == x.end) continue;
    EXPECT_EQ(x.begin % 64, 0) << what << ": " << x.name;
    EXPECT_LE(x.end, p.arena_bytes) << what << ": " << x.name;
    for (std::size_t b = 0; b < spans.size(); ++b) {
      const Span& y = spans[b];
      if (a == b || y.begin < 0 || y.begin == y.end || x.end <= y.begin || y.end <= x.begin) continue;
      if (x.born > y.born) continue;  // looked at the other way round; equal: both orders fail below
      bool replaced = false;
      bool over = !x.forever && y.born >= 0;
      for (const int touch : x.touches) {
        if (touch != y.born || touch < 0) {
          over = over && touch != y.born && before(touch, y.born);
          continue;
        }
        const Step& s = p.steps[y.born];
        replaced = op::in_place(p.graph.nodes[s.node].desc) && s.inputs[0] == static_cast<int>(a) &&
                   s.outputs[0] == static_cast<int>(b) && x.begin == y.begin && x.end == y.end;
        over = over && replaced;
      }
      in_place += replaced;
      EXPECT_TRUE(over) << what << ": " << x.name << " and " << y.name << " share bytes while both are needed\n"
                        << p.to_string();
    }
  }
  return in_place;
}

/// A tagger with everything: embedding, window, two bidirectional layers, dropout, cross-entropy.
graph::Data tagger(CellKind cell, int layers, bool bidirectional) {
  static const Device device = cpu_device(1);
  Parameters parameters(device, 3);
  const nn::Embedding embed(parameters, "embed", {.vocabulary = 50, .width = 8});
  const nn::Recurrent rnn(
      parameters, "rnn",
      {.cell = cell, .input = 24, .hidden = 10, .layers = layers, .bidirectional = bidirectional, .dropout = 0.2f});
  const nn::Linear head(parameters, "head", {.input = bidirectional ? 20 : 10, .output = 7});
  Graph g(true);
  g.bind("ids", {6, 4}), g.bind("labels", {6, 4}), g.bind("lengths", {4});
  const Value lengths = g.input("lengths", DType::i32, {"N"});
  const Value x = dropout(embed(g.input("ids", DType::i32, {"T", "N"})), 0.3f);
  const Value y = head(rnn(context_window(x, 1, lengths), lengths));
  g.output("scores", y);
  return training_step(g, cross_entropy(y, g.input("labels", DType::i32, {"T", "N"}), lengths));
}

TEST(Plan, TaggersKeepTheirBytes) {
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before})
    for (const int layers : {1, 2, 3})
      for (const bool bidirectional : {false, true})
        for (const int streams : {1, 2, 3, 4})
          check(plan(tagger(cell, layers, bidirectional), streams), std::string("tagger ") + to_string(cell));
}

/// `steps` random operations on [8, 8] values, each reading any earlier ones.
std::vector<Value> random_values(Graph& g, Parameters& parameters, unsigned seed, int steps) {
  std::mt19937 random(seed);
  std::vector<Value> v{g.input("x", DType::f32, {"8", "8"}), parameters.use(g, "w"), parameters.use(g, "u")};
  const auto any = [&] {  // often recent, sometimes old
    const auto back = random() % 3 ? random() % std::min<std::size_t>(3, v.size()) : random() % v.size();
    return v[v.size() - 1 - back];
  };
  for (int i = 0; i < steps; ++i) {
    const Value a = any(), b = any();
    switch (random() % 9) {
      case 0: v.push_back(add(a, b)); break;
      case 1: v.push_back(tanh(mul(a, b))); break;
      case 2: v.push_back(tanh(matmul(a, b, random() % 2))); break;
      case 3: v.push_back(affine(a, 0.5f, 0.1f)); break;
      case 4: v.push_back(sigmoid(a)); break;
      case 5: v.push_back(softmax(a)); break;
      case 6: v.push_back(dropout(a, 0.2f)); break;
      case 7: {
        const Value parts[] = {slice(a, 0, 0, 3), slice(b, 0, 2, 7)};
        v.push_back(concat(parts, 0));
        break;
      }
      default: v.push_back(add(a, reduce(b, Reduction::mean, 0)));
    }
  }
  return v;
}

struct RandomModel {
  Device device = cpu_device(1);
  Parameters parameters{device, 9};
  explicit RandomModel(Device d = cpu_device(1)) : device(std::move(d)) {
    parameters.add("w", {8, 8}, {Initializer::Kind::uniform, 1.f});
    parameters.add("u", {8, 8}, {Initializer::Kind::uniform, 1.f});
  }
};

TEST(Plan, RandomGraphsKeepTheirBytes) {
  int in_place = 0;
  for (unsigned seed = 0; seed < 100; ++seed) {
    for (const int streams : {1, 2, 4}) {
      RandomModel model;
      Graph g(true);
      g.bind("x", {8, 8});
      const auto v = random_values(g, model.parameters, seed, 30);
      g.output("some", v[v.size() / 2]);
      const Value loss = reduce_all(add(v.back(), add(mul(v[1], v[2]), v[v.size() - 3])), Reduction::sum);
      in_place += check(plan(training_step(g, loss), streams), "random " + std::to_string(seed));
    }
  }
  EXPECT_GT(in_place, 100);  // it happens at all
}

// A plan that reuses memory gives the same bits as one where every value has its own.
TEST(Plan, ReuseDoesNotChangeValues) {
  const std::vector<float> x(64, 0.3f);
  for (unsigned seed = 0; seed < 60; ++seed) {
    const auto run = [&](const Device& device, bool keep_all) {
      Parameters parameters(device, 9);
      parameters.add("w", {8, 8}, {Initializer::Kind::uniform, 1.f});
      parameters.add("u", {8, 8}, {Initializer::Kind::uniform, 1.f});
      Trainer trainer(device, parameters, Sgd{.rate = 0.1f}, [&](Graph& g) {
        const auto v = random_values(g, parameters, seed, 30);
        if (keep_all) {
          for (std::size_t i = 0; i < v.size(); ++i) g.output("v" + std::to_string(i), v[i]);
        }
        return reduce_all(add(v.back(), add(mul(v[1], v[2]), v[v.size() - 3])), Reduction::sum);
      });
      for (int step = 0; step < 3; ++step) trainer.step({{"x", HostTensor::of({8, 8}, x)}});
      return parameters.get("w").bytes;
    };
    static const Device one = cpu_device(1), two = cpu_device(2);
    const auto want = run(one, true);
    EXPECT_EQ(run(one, false), want) << seed;
    EXPECT_EQ(run(two, false), want) << seed;
  }
}

TEST(Plan, DropsDeadNodes) {
  Graph g;
  g.bind("x", {2, 3});
  const Value x = g.input("x", DType::f32, {"A", "B"});
  g.output("y", tanh(x));
  softmax(sigmoid(x));
  const Program p = plan(std::move(g.data()), 1);
  ASSERT_EQ(p.steps.size(), 1u);
  EXPECT_STREQ(op::name_of(p.graph.nodes[p.steps[0].node].desc), "activation");
}

TEST(Plan, BackwardMayStartFromAGivenGradient) {
  Graph g(true);
  g.bind("x", {2, 3});
  g.bind("dy", {2, 3});
  const Value x = g.input("x", DType::f32, {"A", "B"}), dy = g.input("dy", DType::f32, {"A", "B"});
  const Value y = tanh(x);
  const std::vector<int> wanted{x.id};
  const auto gradients = graph::gradients_from(g.data(), y.id, dy.id, wanted);
  ASSERT_EQ(g.data().nodes.size(), 2u);  // tanh and its backward: no loss, no 1 to start from
  const graph::Node& backward = g.data().nodes[1];
  EXPECT_EQ(std::count(backward.inputs.begin(), backward.inputs.end(), dy.id), 1);
  EXPECT_EQ(gradients, backward.outputs);
}

TEST(Plan, DirectionsRunOnDifferentStreams) {
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru}) {
    static const Device device = cpu_device(1);
    Parameters parameters(device, 1);
    const nn::Recurrent rnn(parameters, "rnn", {.cell = cell, .input = 64, .hidden = 64, .bidirectional = true});
    Graph g(true);
    g.bind("x", {20, 16, 64});
    const Program p =
        plan(training_step(g, reduce_all(rnn(g.input("x", DType::f32, {"T", "N", "I"})), Reduction::sum)), 2);
    std::vector<int> forward, backward;
    for (const Step& s : p.steps) {
      const auto& desc = p.graph.nodes[s.node].desc;
      if (std::holds_alternative<op::RecurrentForwardDesc>(desc)) forward.push_back(s.stream);
      if (std::holds_alternative<op::RecurrentBackwardDesc>(desc)) backward.push_back(s.stream);
    }
    ASSERT_EQ(forward.size(), 2u);
    ASSERT_EQ(backward.size(), 2u);
    EXPECT_NE(forward[0], forward[1]);
    EXPECT_NE(backward[0], backward[1]);
  }
}

/// Whether the recurrent steps of a plan are paired, forward first.
std::vector<bool> paired_steps(const Program& p) {
  std::vector<bool> forward, backward;
  for (const Step& s : p.steps) {
    const auto& desc = p.graph.nodes[s.node].desc;
    if (const auto* d = std::get_if<op::RecurrentForwardDesc>(&desc)) forward.push_back(d->paired);
    if (const auto* d = std::get_if<op::RecurrentBackwardDesc>(&desc)) backward.push_back(d->paired);
  }
  forward.insert(forward.end(), backward.begin(), backward.end());
  return forward;
}

TEST(Plan, DirectionsOfALayerArePaired) {
  static const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  for (const bool both : {false, true}) {
    const nn::Recurrent rnn(parameters, both ? "both" : "one",
                            {.cell = CellKind::gru, .input = 8, .hidden = 8, .layers = 2, .bidirectional = both});
    for (const int streams : {1, 3}) {
      Graph g(true);
      g.bind("x", {5, 4, 8});
      const Value y = rnn(g.input("x", DType::f32, {"T", "N", "I"}));
      EXPECT_EQ(paired_steps(plan(training_step(g, reduce_all(y, Reduction::sum)), streams)),
                std::vector<bool>(both ? 8 : 4, both));
    }
  }
}

// A direction that nobody wants is not there; layers of other widths are not alike.
TEST(Plan, OnlyLayersThatRunArePaired) {
  const auto paired = [](std::int64_t other_units, bool wanted) {
    Graph g;
    g.bind("x", {5, 4, 3});
    const Value x = g.input("x", DType::f32, {"T", "N", "I"});
    const auto layer = [&](Direction direction, std::int64_t H) {
      const std::string units = std::to_string(H), name = direction == Direction::reverse ? "back" : "there";
      g.bind(name + "_ih", {H, 3});
      g.bind(name + "_hh", {H, H});
      RecurrentOptions o;
      o.cell = CellKind::elman, o.direction = direction;
      RecurrentWeights w;
      w.w_ih = g.input(name + "_ih", DType::f32, {units.c_str(), "I"});
      w.w_hh = g.input(name + "_hh", DType::f32, {units.c_str(), units.c_str()});
      return recurrent(x, o, w).output;
    };
    const Value there = layer(Direction::forward, 6), back = layer(Direction::reverse, other_units);
    g.output("there", there);
    if (wanted) g.output("back", back);
    return paired_steps(plan(std::move(g.data()), 2));
  };
  EXPECT_EQ(paired(6, true), (std::vector<bool>{true, true}));
  EXPECT_EQ(paired(6, false), (std::vector<bool>{false}));
  EXPECT_EQ(paired(7, true), (std::vector<bool>{false, false}));
}

TEST(Plan, KeepsWhatIsReadLater) {
  Graph g;
  g.bind("x", {4, 4});
  const Value x = g.input("x", DType::f32, {"A", "B"});
  const Value a = affine(x, 2.f), b = tanh(a), c = sigmoid(a);  // a is read twice: only its last reader may replace it
  g.output("y", add(b, c));
  const Program p = plan(std::move(g.data()), 1);
  EXPECT_EQ(check(p, "diamond"), 3);
  EXPECT_EQ(p.arena_bytes, 128);
}

TEST(Plan, OutputsAndInputsOutlive) {
  Graph g;
  g.bind("x", {4, 4});
  const Value x = g.input("x", DType::f32, {"A", "B"});
  g.output("same", x);  // an input asked back
  g.output("a", affine(x, 2.f));
  g.output("b", tanh(affine(x, 3.f)));
  const Program p = plan(std::move(g.data()), 2);
  check(p, "outputs");
  EXPECT_EQ(p.arena_bytes, 3 * 64);
}

TEST(Plan, PrintsItself) {
  Graph g;
  g.bind("x", {2, 3});
  const Value x = g.input("x", DType::f32, {"A", "B"});
  const Value a = tanh(x), b = sigmoid(x);
  g.output("y", add(a, b));
  EXPECT_EQ(plan(std::move(g.data()), 1).to_string(),
            "   0  stream 0  activation(x[2, 3]@0) -> %1[2, 3]@64\n"
            "   1  stream 0  activation(x[2, 3]@0) -> %2[2, 3]@0\n"
            "   2  stream 0  binary(%1[2, 3]@64, %2[2, 3]@0) -> %3[2, 3]@64\n"
            "steps 3, streams 1, arena peak 128 bytes\n");
}

TEST(Plan, IsAPureFunction) {
  for (const int streams : {1, 2, 4}) {
    EXPECT_EQ(plan(tagger(CellKind::lstm, 2, true), streams).to_string(),
              plan(tagger(CellKind::lstm, 2, true), streams).to_string());
  }
}

/// By its cost a program is shared out or left to one thread.
TEST(Cost, GrowsWithTheElements) {
  const auto all = [](std::int64_t n) {  // of n * 1000 elements
    return std::vector<op::AnyDesc>{
        op::GatherDesc{DType::f32, 50, 1000, n},
        op::GatherBackwardDesc{DType::f32, 50, 1000, n},
        op::MatmulDesc{DType::f32, n, 100, 5, false, false},
        op::ActivationDesc{DType::f32, n * 1000, Activation::tanh},
        op::ConcatDesc{DType::f32, n, 10, {40, 60}},
        op::SliceDesc{DType::f32, n, 100, 10, 0, 50},
        op::SliceBackwardDesc{DType::f32, n, 100, 10, 0, 50},
        op::WindowDesc{DType::f32, n, 10, 20, 2},
        op::WindowBackwardDesc{DType::f32, n, 10, 20, 2},
        op::SoftmaxDesc{DType::f32, n, 1000, false},
        op::SoftmaxBackwardDesc{DType::f32, n, 1000, false},
        op::ReduceDesc{op::ReduceDesc::Kind::sum, DType::f32, n, 100, 10},
        op::ReduceBackwardDesc{op::ReduceDesc::Kind::sum, DType::f32, n, 100, 10},
        op::SquaredErrorDesc{DType::f32, n, 1, 1000},
        op::SquaredErrorBackwardDesc{DType::f32, n, 1, 1000},
    };
  };
  const auto small = all(1), large = all(1000);
  for (std::size_t i = 0; i < small.size(); ++i) {
    EXPECT_GE(op::cost_of(large[i]), 500 * op::cost_of(small[i])) << op::name_of(small[i]);
  }
}

}  // namespace
}  // namespace seqgpu
