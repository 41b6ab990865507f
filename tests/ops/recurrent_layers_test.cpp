#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <optional>

#include "tests/ops/cases.hpp"
#include "tests/reference/recurrent.hpp"
#include "tests/support/sharing_cpu.hpp"

// Stacked layers as a user builds them: every cell, direction and option, values and gradients.
namespace seqgpu::ops {
namespace {

enum class Way { forward, reverse, bidirectional };

struct Variant {
  const char* name;
  std::function<void(nn::RecurrentLayerOptions&)> set;
  bool elman = true, lstm = true, gru = true;
  bool resets = false, initial = false;
};

using Options = nn::RecurrentLayerOptions;

const std::vector<Variant>& variants() {
  static const std::vector<Variant> all = {
      {"plain", [](Options&) {}},
      {"no_bias", [](Options& o) { o.bias = false; }},
      {"initial", [](Options&) {}, true, true, true, false, true},
      {"resets", [](Options&) {}, true, true, true, true, false},
      {"resets_initial", [](Options&) {}, true, true, true, true, true},
      {"linear", [](Options& o) { o.options.activation = o.options.output_activation = Activation::linear; }},
      {"relu", [](Options& o) { o.options.activation = o.options.output_activation = Activation::relu; }},
      {"sigmoid", [](Options& o) { o.options.activation = o.options.output_activation = Activation::sigmoid; }},
      {"layer_dropout", [](Options& o) { o.dropout = 0.3f; }},
      {"shared_dropout", [](Options& o) { o.dropout = 0.3f, o.shared_dropout = true; }},
      {"recurrent_dropout", [](Options& o) { o.options.recurrent_dropout = 0.4f; }},
      {"zoneout", [](Options& o) { o.options.zoneout_hidden = 0.3f, o.options.zoneout_cell = 0.4f; }, true, true, true,
       false, true},
      {"projection", [](Options& o) { o.projection = 2; }, true, true, false},
      {"projection_bias", [](Options& o) { o.projection = 2, o.projection_bias = true; }, true, true, false},
      {"jordan",
       [](Options& o) {
         o.projection = 2, o.projection_bias = true, o.options.projection_activation = Activation::sigmoid;
       },
       true, true, false},
      {"projected_masks",
       [](Options& o) {
         o.projection = 2, o.options.recurrent_dropout = 0.3f, o.options.zoneout_hidden = 0.3f, o.dropout = 0.2f;
       },
       true, true, false, true, true},
      // Without ReLU: with biases of 0 it would meet its kink at exactly 0.
      {"identity_start", [](Options& o) { o.identity_start = true; }, true, false, false},
      {"peephole", [](Options& o) { o.peephole = true; }, false, true, false},
      {"coupled", [](Options& o) { o.options.coupled_gates = true; }, false, true, false},
      {"coupled_peephole", [](Options& o) { o.peephole = o.options.coupled_gates = true; }, false, true, false},
      {"clip", [](Options& o) { o.options.cell_clip = 0.3f, o.peephole = true; }, false, true, false},
      {"forget_bias", [](Options& o) { o.forget_bias = 1.f; }, false, true, false},
  };
  return all;
}

bool fits(const Variant& v, CellKind cell) {
  return cell == CellKind::elman ? v.elman : cell == CellKind::lstm ? v.lstm : v.gru;
}

struct Sizes {
  int T = 3, N = 3, I = 2, H = 3;
};

struct Setup {
  CellKind cell;
  Way way;
  int layers;
  bool ragged;
  const Variant& variant;
  Sizes size;
  Options options = {};
};

/// A stack of reverse layers, which nn::Recurrent has only as half of a bidirectional one.
nn::Recurrent::Result run_reverse(const Setup& s, const Scope& scope, Value x, Value lengths, Value resets,
                                  const std::vector<Value>& initial) {
  nn::Recurrent::Result result;
  const auto states = static_cast<std::size_t>(state_count(s.cell));
  for (int layer = 0; layer < s.layers; ++layer) {
    const auto use = [&](const char* what, bool there) {
      return there ? scope(std::string("rnn.") + what + "_l" + std::to_string(layer)) : Value{};
    };
    if (layer > 0) x = dropout(x, s.options.dropout, s.options.shared_dropout);
    RecurrentOptions o = s.options.options;
    o.cell = s.cell;
    o.direction = Direction::reverse;
    o.all_states = states > 1;
    RecurrentInputs in{lengths, resets, {}};
    for (std::size_t i = 0; i < states && !initial.empty(); ++i)
      in.initial.push_back(initial[static_cast<std::size_t>(layer) * states + i]);
    const bool projected = s.options.projection > 0;
    RecurrentResult r = recurrent(x, o,
                                  {use("weight_ih", true), use("weight_hh", true), use("bias_ih", s.options.bias),
                                   use("bias_hh", s.options.bias), use("peephole", s.options.peephole),
                                   use("weight_hr", projected), use("bias_hr", projected && s.options.projection_bias)},
                                  in);
    x = r.output;
    result.final.insert(result.final.end(), r.final.begin(), r.final.end());
    result.final.insert(result.final.end(), r.states.begin(), r.states.end());
  }
  result.output = x;
  return result;
}

reference::Ints resets_of(const Sizes& s) {
  reference::Ints r;
  for (int i = 0; i < s.T * s.N; ++i) r.push_back(i % 4 == 2 || i % 7 == 5 ? 2 : 0);
  return r;
}

Case make_case(Setup s) {
  s.options.cell = s.cell;
  s.options.input = s.size.I, s.options.hidden = s.size.H, s.options.layers = s.layers;
  s.options.bidirectional = s.way == Way::bidirectional;
  s.variant.set(s.options);
  static const char* const ways[] = {" forward ", " reverse ", " bidirectional "};
  const auto [T, N, I, H] = s.size;
  const int R = s.options.projection > 0 ? static_cast<int>(s.options.projection) : H;
  Case c;
  c.name = to_string(s.cell) + std::string(ways[static_cast<int>(s.way)]) + std::to_string(s.layers) +
           (s.ragged ? " ragged " : " ") + s.variant.name + text({T, N, H});
  c.leaves = {leaf("x", {T, N, I})};
  std::vector<std::string> initial;
  const int states = state_count(s.cell), count = s.layers * (s.options.bidirectional ? 2 : 1) * states;
  for (int i = 0; i < count && s.variant.initial; ++i) {
    initial.push_back("initial" + std::string(static_cast<std::size_t>(i), '_'));
    c.leaves.push_back(leaf(initial.back(), {N, i % states == 0 ? R : H}));
  }
  if (s.ragged) c.batch["lengths"] = ints({N}, ragged(T, N));
  if (s.variant.resets) c.batch["resets"] = ints({T, N}, resets_of(s.size));
  const auto layer = std::make_shared<std::optional<nn::Recurrent>>();
  c.modules = [=](Parameters& p) { layer->emplace(p, "rnn", s.options); };
  c.build = [=](const Scope& scope) {
    std::vector<Value> start;
    for (const std::string& name : initial) start.push_back(scope(name));
    const Value lengths = s.ragged ? scope.ids("lengths", {"N"}) : Value{};
    const Value resets = s.variant.resets ? scope.ids("resets", {"T", "N"}) : Value{};
    const nn::Recurrent::Result r = s.way == Way::reverse ? run_reverse(s, scope, scope("x"), lengths, resets, start)
                                                          : (*layer)->run(scope("x"), lengths, resets, start);
    std::vector<Value> values{r.output};
    values.insert(values.end(), r.final.begin(), r.final.end());
    return values;
  };

  // The same from the equations, without masks: mixed in expectation.
  Parameters parameters(cpu_device(1), c.seed, DType::f64);
  c.declare(parameters);
  Vector x = c.leaves[0].values;
  int width = I;
  std::vector<Vector> finals;
  const int directions = s.options.bidirectional ? 2 : 1;
  for (int l = 0; l < s.layers; ++l) {
    Vector joined(static_cast<std::size_t>(T) * N * directions * R);
    for (int d = 0; d < directions; ++d) {
      const auto get = [&](const char* what) {
        const std::string name = std::string("rnn.") + what + "_l" + std::to_string(l) + (d ? "_reverse" : "");
        const auto names = parameters.names();
        return std::find(names.begin(), names.end(), name) == names.end() ? Vector{}
                                                                          : support::widen(parameters.get(name));
      };
      reference::Recurrent p;
      p.cell = s.cell;
      p.reverse = d == 1 || s.way == Way::reverse;
      p.T = T, p.N = N, p.I = width, p.H = H, p.R = R;
      const RecurrentOptions& o = s.options.options;
      p.activation = o.activation, p.output_activation = o.output_activation;
      p.projection_activation = o.projection_activation;
      p.coupled_gates = o.coupled_gates, p.cell_clip = o.cell_clip;
      p.zoneout[0] = o.zoneout_hidden, p.zoneout[1] = o.zoneout_cell;
      p.x = x;
      p.w_ih = get("weight_ih"), p.w_hh = get("weight_hh"), p.b_ih = get("bias_ih"), p.b_hh = get("bias_hh");
      p.peephole = get("peephole"), p.projection = get("weight_hr"), p.projection_bias = get("bias_hr");
      if (s.ragged) {
        for (const auto n : ragged(T, N)) p.lengths.push_back(static_cast<int>(n));
      }
      if (s.variant.resets) {
        for (const auto r : resets_of(s.size)) p.resets.push_back(static_cast<int>(r));
      }
      for (int i = 0; i < states && s.variant.initial; ++i)
        p.initial[i] = c.leaves[static_cast<std::size_t>(1 + (l * directions + d) * states + i)].values;
      const reference::RecurrentResult r = reference::recurrent(p);
      for (int row = 0; row < T * N; ++row)
        for (int u = 0; u < R; ++u) joined[(row * directions + d) * R + u] = r.y[row * R + u];
      for (int i = 0; i < states; ++i) finals.push_back(r.final[i]);
      if (s.way == Way::reverse && states > 1) finals.push_back(r.states);
    }
    x = joined;
    width = directions * R;
  }
  c.want = {x};
  c.want.insert(c.want.end(), finals.begin(), finals.end());
  // Sums of I + H terms, T steps, two layers; linear and relu cells amplify.
  c.terms = 4. * (width + H + I) * std::max(T, 1) * s.layers;
  return c;
}

std::vector<Case> cases_of(CellKind cell, Sizes size) {
  std::vector<Case> cases;
  for (const Way way : {Way::forward, Way::reverse, Way::bidirectional})
    for (const int layers : {1, 2})
      for (const bool with_lengths : {false, true})
        for (const Variant& v : variants())
          if (fits(v, cell)) cases.push_back(make_case({cell, way, layers, with_lengths, v, size}));
  return cases;
}

class RecurrentLayers : public testing::TestWithParam<CellKind> {};

TEST_P(RecurrentLayers, ValuesMatchReference) {
  for (const Sizes size : {Sizes{}, Sizes{0, 2, 3, 5}, Sizes{2, 0, 3, 5}, Sizes{5, 4, 3, 17}, Sizes{1, 1, 1, 1}})
    for (const Case& c : cases_of(GetParam(), size)) expect_values(c, cpu_device(1));
}

TEST_P(RecurrentLayers, ValuesWithThreads) {
  const Device two = support::sharing_cpu(2);
  for (const Case& c : cases_of(GetParam(), {4, 9, 5, 33})) expect_values(c, two);
}

TEST_P(RecurrentLayers, GradientsMatchCentralDifferences) {
  const Device one = cpu_device(1);
  std::int64_t compared = 0;
  const auto cases = cases_of(GetParam(), {});
  for (const Case& c : cases) compared += expect_gradients(c, one);
  std::printf("%s: %zu configurations, %lld gradient elements\n", to_string(GetParam()), cases.size(),
              static_cast<long long>(compared));
}

INSTANTIATE_TEST_SUITE_P(Cells, RecurrentLayers,
                         testing::Values(CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before),
                         [](const auto& info) { return std::string(to_string(info.param)); });

TEST(RecurrentLayersCount, AtLeast500Configurations) {
  std::size_t count = 0;
  for (const CellKind cell : {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before})
    count += cases_of(cell, {}).size();
  std::printf("recurrent layers: %zu configurations, each with gradients against central differences\n", count);
  EXPECT_GE(count, 500u);
}

}  // namespace
}  // namespace seqgpu::ops
