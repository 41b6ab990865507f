#include "seqgpu/recurrent.hpp"

#include "graph/data.hpp"
#include "op/dims.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu {
namespace {

void check_rate(op::Dims& dims, const char* name, float rate) {
  if (!(rate >= 0.f && rate < 1.f)) dims.fail(name, "must be in [0, 1), got " + std::to_string(rate));
}

/// Every float argument, with the pattern it must match.
void check(op::Dims& dims, Value x, Value value, const char* name, const char* pattern, const char* fix = "") {
  if (!value) return;
  if (value.graph != x.graph) dims.fail(name, "belongs to another graph than x");
  dims.match_dtype(name, value.dtype(), x.dtype());
  dims.match(name, value.shape(), pattern, fix);
}

void check_i32(op::Dims& dims, Value x, Value value, const char* name, const char* pattern) {
  if (!value) return;
  if (value.graph != x.graph) dims.fail(name, "belongs to another graph than x");
  dims.match_dtype(name, value.dtype(), DType::i32);
  dims.match(name, value.shape(), pattern);
}

void check_options(op::Dims& dims, const RecurrentOptions& o, const RecurrentWeights& w) {
  check_rate(dims, "recurrent_dropout", o.recurrent_dropout);
  check_rate(dims, "zoneout_hidden", o.zoneout_hidden);
  check_rate(dims, "zoneout_cell", o.zoneout_cell);
  if (!(o.cell_clip >= 0.f)) dims.fail("cell_clip", "must not be negative, got " + std::to_string(o.cell_clip));
  const std::string cell = to_string(o.cell);
  if (o.coupled_gates && o.cell != CellKind::lstm) dims.fail("coupled_gates", "is for lstm only, not for " + cell);
  if (w.peephole && unit_parameter_count(o.cell) == 0) dims.fail("peephole", "is not defined for cell " + cell);
  if (w.projection && o.cell != CellKind::elman && o.cell != CellKind::lstm) {
    dims.fail("projection", "is for elman and lstm, not for " + cell + ", which mixes h unit by unit");
  }
  if (o.all_states && state_count(o.cell) == 1) dims.fail("all_states", "adds nothing: " + cell + " has h alone");
  if (o.projection_activation != Activation::linear && !w.projection) {
    dims.fail("projection_activation", "needs a projection weight");
  }
  if (w.projection_bias && !w.projection) dims.fail("projection_bias", "needs a projection weight");
}

}  // namespace

RecurrentResult recurrent(Value x, const RecurrentOptions& o, const RecurrentWeights& w, const RecurrentInputs& in) {
  const int gates = gate_count(o.cell), states = state_count(o.cell);
  op::Dims dims("recurrent", {{"G", gates}});
  if (!x) dims.fail("x", "is absent");
  if (!w.w_ih) dims.fail("w_ih", "is absent");
  if (!w.w_hh) dims.fail("w_hh", "is absent");
  check_options(dims, o, w);
  dims.match_float("x", x.dtype());
  dims.match("x", x.shape(), "T N I");
  check(dims, x, w.w_ih, "w_ih", "G*H I", "H is the number of units");
  if (w.projection) {
    check(dims, x, w.projection, "projection", "R H");
    check(dims, x, w.w_hh, "w_hh", "G*H R");
  } else {
    check(dims, x, w.w_hh, "w_hh", "G*H H");
  }
  check(dims, x, w.b_ih, "b_ih", "G*H");
  check(dims, x, w.b_hh, "b_hh", "G*H");
  check(dims, x, w.peephole, "peephole", (std::to_string(unit_parameter_count(o.cell)) + " H").c_str());
  check(dims, x, w.projection_bias, "projection_bias", "R");
  check_i32(dims, x, in.lengths, "lengths", "N");
  check_i32(dims, x, in.resets, "resets", "T N");
  const std::string width = w.projection ? "R" : "H";
  if (!in.initial.empty() && static_cast<int>(in.initial.size()) != states) {
    dims.fail("initial", "must hold " + std::to_string(states) + " states for " + to_string(o.cell) + ", got " +
                             std::to_string(in.initial.size()));
  }
  for (std::size_t s = 0; s < in.initial.size(); ++s) {
    check(dims, x, in.initial[s], ("initial[" + std::to_string(s) + "]").c_str(),
          ("N " + (s == 0 ? width : std::string("H"))).c_str());
  }

  graph::Data& data = x.graph->data();
  op::RecurrentForwardDesc d;
  d.cell = o.cell;
  d.direction = o.direction;
  d.dtype = x.dtype();
  d.precision = o.precision;
  d.T = dims["T"];
  d.N = dims["N"];
  d.I = dims["I"];
  d.H = dims["H"];
  d.R = dims[width];
  d.training = data.training;
  d.activation = o.activation;
  d.output_activation = o.output_activation;
  d.coupled_gates = o.coupled_gates;
  d.projection_activation = o.projection_activation;
  d.recurrent_dropout = o.recurrent_dropout;
  d.zoneout_hidden = o.zoneout_hidden;
  d.zoneout_cell = o.zoneout_cell;
  d.cell_clip = o.cell_clip;
  d.peephole = static_cast<bool>(w.peephole);
  d.projection = static_cast<bool>(w.projection);
  d.seed = data.seed;
  d.stream = data.next_stream++;

  std::vector<int> inputs(op::kForwardInputs, -1);
  inputs[op::kInX] = x.id;
  inputs[op::kInWih] = w.w_ih.id;
  inputs[op::kInWhh] = w.w_hh.id;
  inputs[op::kInBih] = w.b_ih.id;
  inputs[op::kInBhh] = w.b_hh.id;
  inputs[op::kInUnit] = w.peephole.id;
  inputs[op::kInProj] = w.projection.id;
  inputs[op::kInProjB] = w.projection_bias.id;
  inputs[op::kInLengths] = in.lengths.id;
  inputs[op::kInResets] = in.resets.id;
  for (std::size_t s = 0; s < in.initial.size(); ++s) inputs[op::kInState0 + s] = in.initial[s].id;
  const bool masks = d.recurrent_dropout > 0 || d.zoneout_hidden > 0 || d.zoneout_cell > 0;
  if (d.training && masks) inputs[op::kInStep] = graph::step_value(data);

  std::vector<int> outputs(op::kForwardOutputs, -1);
  RecurrentResult result;
  const auto make = [&](int slot, const Shape& shape) {
    outputs[static_cast<std::size_t>(slot)] = graph::add_value(data, shape, d.dtype);
    return Value{x.graph, outputs[static_cast<std::size_t>(slot)]};
  };
  result.output = make(op::kOutY, Shape{d.T, d.N, d.R});
  for (int s = 0; s < states; ++s) result.final.push_back(make(op::kOutFinal0 + s, Shape{d.N, s == 0 ? d.R : d.H}));
  if (o.all_states) {
    for (int s = 1; s < states; ++s) result.states.push_back(make(op::kOutStates0 + s - 1, Shape{d.T, d.N, d.H}));
  }
  if (d.training) {
    outputs[op::kOutReserve] = graph::add_value(data, Shape{0}, DType::u8);
    data.values.back().opaque = true;
  }
  graph::add_node(data, d, std::move(inputs), std::move(outputs));
  return result;
}

}  // namespace seqgpu
