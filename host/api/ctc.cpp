#include "seqgpu/ctc.hpp"

#include "graph/data.hpp"
#include "op/ctc_desc.hpp"
#include "op/dims.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu {
namespace {

void check(op::Dims& dims, Value x, Value v, const char* name, DType dtype, const char* axes) {
  if (!v) return;
  if (v.graph != x.graph) dims.fail(name, "belongs to another graph");
  dims.match_dtype(name, v.dtype(), dtype);
  dims.match(name, v.shape(), axes);
}

CtcResult add(const char* operation, const char* name, bool from_log_probs, Value x, const CtcInputs& in,
              const CtcOptions& o) {
  op::Dims dims(operation);
  if (!x) dims.fail(name, "is absent");
  dims.match_float(name, x.dtype());
  dims.match(name, x.shape(), "T N C");
  if (!in.targets) dims.fail("targets", "is absent");
  const bool concatenated = in.targets.shape().rank() == 1;
  check(dims, x, in.targets, "targets", DType::i32, concatenated ? "labels" : "N L");
  check(dims, x, in.target_lengths, "target_lengths", DType::i32, "N");
  check(dims, x, in.input_lengths, "input_lengths", DType::i32, "N");
  check(dims, x, in.weights, "weights", x.dtype(), "N");
  if (concatenated && !in.target_lengths) {
    dims.fail("target_lengths", "is absent, but targets " + to_string(in.targets.shape()) +
                                    " are concatenated; give their lengths, or pad them to [N, L]");
  }
  if (concatenated && o.alignment) {
    dims.fail("targets", "must be padded to [N, L] for an alignment, got " + to_string(in.targets.shape()));
  }
  const std::int64_t C = dims["C"];
  if (C < 1) dims.fail(name, "has no classes: " + to_string(x.shape()));
  if (o.blank < -C || o.blank >= C) {
    dims.fail("blank", "must be in [-C, C) with C=" + std::to_string(C) + ", got " + std::to_string(o.blank));
  }

  graph::Data& data = x.graph->data();
  op::CtcForwardDesc d;
  d.dtype = x.dtype();
  d.T = dims["T"];
  d.N = dims["N"];
  d.C = C;
  d.L = in.targets.shape().back();
  d.concatenated = concatenated;
  d.blank = o.blank < 0 ? o.blank + C : o.blank;
  d.from_log_probs = from_log_probs;
  d.training = data.training;
  d.reduction = static_cast<op::CtcDesc::Reduction>(o.reduction);
  d.impossible = static_cast<op::CtcDesc::Impossible>(o.impossible);
  d.in_place = o.gradient_in_place;

  std::vector<int> outputs(op::kCtcForwardOutputs, -1);
  const auto output = [&](int slot, const Shape& shape, DType dtype) {
    outputs[static_cast<std::size_t>(slot)] = graph::add_value(data, shape, dtype);
    return Value{x.graph, outputs[static_cast<std::size_t>(slot)]};
  };
  CtcResult result;
  result.loss = output(op::kCtcLoss, o.reduction == CtcReduction::none ? Shape{d.N} : Shape{}, d.dtype);
  result.per_sequence = output(op::kCtcPerSequence, {d.N}, d.dtype);
  result.status = output(op::kCtcStatus, {d.N}, DType::i32);
  if (o.posteriors) result.posteriors = output(op::kCtcPosteriors, {d.T, d.N, C}, d.dtype);
  if (o.alignment) result.alignment = output(op::kCtcAlignment, {d.T, d.N, 2 * d.L + 1}, d.dtype);
  if (d.training) {
    output(op::kCtcKept, {0}, DType::u8);
    data.values[static_cast<std::size_t>(outputs[op::kCtcKept])].opaque = true;
  }
  graph::add_node(data, d, {x.id, in.targets.id, in.target_lengths.id, in.input_lengths.id, in.weights.id},
                  std::move(outputs));
  return result;
}

}  // namespace

CtcResult ctc_loss(Value logits, const CtcInputs& inputs, const CtcOptions& options) {
  return add("ctc_loss", "logits", false, logits, inputs, options);
}

CtcResult ctc_loss_from_log_probs(Value log_probs, const CtcInputs& inputs, const CtcOptions& options) {
  return add("ctc_loss_from_log_probs", "log_probs", true, log_probs, inputs, options);
}

}  // namespace seqgpu
