#include "seqgpu/ops.hpp"

#include "graph/data.hpp"
#include "op/dims.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu {
namespace {

using graph::Data;

/// The graph that all given values belong to.
Graph& common_graph(op::Dims& dims, std::initializer_list<std::pair<const char*, Value>> values) {
  Graph* g = nullptr;
  for (const auto& [name, value] : values) {
    if (!value) continue;
    if (g && value.graph != g) dims.fail(name, "belongs to another graph than the first argument");
    g = value.graph;
  }
  return *g;
}

void require(op::Dims& dims, const char* name, Value value) {
  if (!value) dims.fail(name, "is absent");
}

Value emit(Graph& g, op::AnyDesc desc, std::vector<int> inputs, const Shape& shape, DType dtype) {
  const int out = graph::add_value(g.data(), shape, dtype);
  graph::add_node(g.data(), std::move(desc), std::move(inputs), {out});
  return {&g, out};
}

Shape with_last(const Shape& shape, std::int64_t extent) {
  Shape result = shape;
  result.set(shape.rank() - 1, extent);
  return result;
}

int resolve_axis(op::Dims& dims, const Shape& shape, int axis) {
  const int resolved = axis < 0 ? axis + shape.rank() : axis;
  if (resolved < 0 || resolved >= shape.rank()) {
    dims.fail("axis", "must be in [-" + std::to_string(shape.rank()) + ", " + std::to_string(shape.rank()) + ") for " +
                          to_string(shape) + ", got " + std::to_string(axis));
  }
  return resolved;
}

struct Split {
  std::int64_t outer = 1, extent = 1, inner = 1;
};
Split split_at(const Shape& shape, int axis) {
  Split s;
  for (int i = 0; i < shape.rank(); ++i) (i < axis ? s.outer : i == axis ? s.extent : s.inner) *= shape[i];
  return s;
}

void check_rate(op::Dims& dims, const char* name, float rate) {
  if (!(rate >= 0.f && rate < 1.f)) dims.fail(name, "must be in [0, 1), got " + std::to_string(rate));
}

Value binary(const char* name, op::BinaryDesc::Kind kind, Value a, Value b) {
  op::Dims dims(name);
  require(dims, "a", a);
  require(dims, "b", b);
  Graph& g = common_graph(dims, {{"a", a}, {"b", b}});
  dims.match_float("a", a.dtype());
  dims.match_dtype("b", b.dtype(), a.dtype());
  const Shape &sa = a.shape(), &sb = b.shape();
  bool suffix = sb.rank() <= sa.rank();
  for (int i = 0; suffix && i < sb.rank(); ++i) suffix = sb[sb.rank() - 1 - i] == sa[sa.rank() - 1 - i];
  if (!suffix) {
    dims.fail("b", "must have the shape of a, " + to_string(sa) + ", or its last axes, got " + to_string(sb));
  }
  const Shape shape = sa;
  return emit(g, op::BinaryDesc{kind, a.dtype(), sa.elements(), sb.elements()}, {a.id, b.id}, shape, a.dtype());
}

Value soft(const char* name, Value x, bool log) {
  op::Dims dims(name);
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  if (x.shape().rank() == 0) dims.fail("x", "must have at least one axis");
  const Shape shape = x.shape();
  const std::int64_t cols = shape.back();
  return emit(*x.graph, op::SoftmaxDesc{x.dtype(), cols == 0 ? 0 : shape.elements() / cols, cols, log}, {x.id}, shape,
              x.dtype());
}

}  // namespace

Value embedding(Value table, Value ids) {
  op::Dims dims("embedding");
  require(dims, "table", table);
  require(dims, "ids", ids);
  Graph& g = common_graph(dims, {{"table", table}, {"ids", ids}});
  dims.match_float("table", table.dtype());
  dims.match_dtype("ids", ids.dtype(), DType::i32);
  dims.match("table", table.shape(), "V E");
  Shape shape = ids.shape();
  shape.push_back(dims["E"]);
  return emit(g, op::GatherDesc{table.dtype(), dims["V"], dims["E"], ids.shape().elements()}, {table.id, ids.id}, shape,
              table.dtype());
}

Value matmul(Value a, Value b, bool transpose_b) {
  op::Dims dims("matmul");
  require(dims, "a", a);
  require(dims, "b", b);
  Graph& g = common_graph(dims, {{"a", a}, {"b", b}});
  dims.match_float("a", a.dtype());
  dims.match_dtype("b", b.dtype(), a.dtype());
  if (a.shape().rank() < 2) dims.fail("a", "must have at least two axes, got " + to_string(a.shape()));
  op::Dims sized("matmul", {{"K", a.shape().back()}});
  sized.match("b", b.shape(), transpose_b ? "N K" : "K N", transpose_b ? "" : "pass transpose_b for [N, K]");
  const std::int64_t k = sized["K"], n = sized["N"];
  std::int64_t m = 1;
  for (int i = 0; i + 1 < a.shape().rank(); ++i) m *= a.shape()[i];
  return emit(g, op::MatmulDesc{a.dtype(), m, n, k, false, transpose_b}, {a.id, b.id, -1}, with_last(a.shape(), n),
              a.dtype());
}

Value linear(Value x, Value weight, Value bias) {
  op::Dims dims("linear");
  require(dims, "x", x);
  require(dims, "weight", weight);
  Graph& g = common_graph(dims, {{"x", x}, {"weight", weight}, {"bias", bias}});
  dims.match_float("x", x.dtype());
  dims.match_dtype("weight", weight.dtype(), x.dtype());
  if (x.shape().rank() < 1) dims.fail("x", "must have at least one axis");
  op::Dims sized("linear", {{"I", x.shape().back()}});
  sized.match("weight", weight.shape(), "O I", "x is " + to_string(x.shape()));
  if (bias) {
    sized.match_dtype("bias", bias.dtype(), x.dtype());
    sized.match("bias", bias.shape(), "O");
  }
  const std::int64_t i = sized["I"], o = sized["O"];
  std::int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.shape().rank(); ++axis) rows *= x.shape()[axis];
  return emit(g, op::MatmulDesc{x.dtype(), rows, o, i, false, true}, {x.id, weight.id, bias.id},
              with_last(x.shape(), o), x.dtype());
}

Value add(Value a, Value b) { return binary("add", op::BinaryDesc::Kind::add, a, b); }
Value mul(Value a, Value b) { return binary("mul", op::BinaryDesc::Kind::mul, a, b); }

Value affine(Value x, float scale, float shift) {
  op::Dims dims("affine");
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  const Shape shape = x.shape();
  return emit(*x.graph, op::AffineDesc{x.dtype(), shape.elements(), scale, shift}, {x.id}, shape, x.dtype());
}

Value activate(Value x, Activation activation) {
  op::Dims dims("activate");
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  if (activation == Activation::linear) return x;
  const Shape shape = x.shape();
  return emit(*x.graph, op::ActivationDesc{x.dtype(), shape.elements(), activation}, {x.id}, shape, x.dtype());
}

Value concat(std::span<const Value> parts, int axis) {
  op::Dims dims("concat");
  if (parts.empty()) dims.fail("parts", "is empty");
  for (const Value& part : parts) require(dims, "parts", part);
  const Shape first = parts[0].shape();
  const int a = resolve_axis(dims, first, axis);
  op::ConcatDesc desc{parts[0].dtype(), split_at(first, a).outer, split_at(first, a).inner, {}};
  std::vector<int> inputs;
  std::int64_t total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string name = "parts[" + std::to_string(i) + "]";
    if (parts[i].graph != parts[0].graph) dims.fail(name, "belongs to another graph than parts[0]");
    dims.match_dtype(name, parts[i].dtype(), desc.dtype);
    Shape expected = first;
    const Shape& found = parts[i].shape();
    if (found.rank() == first.rank()) expected.set(a, found[a]);
    if (!(found == expected)) {
      dims.fail(name, "must agree with parts[0] " + to_string(first) + " but for axis " + std::to_string(a) + ", got " +
                          to_string(found));
    }
    desc.extents.push_back(found[a]);
    inputs.push_back(parts[i].id);
    total += found[a];
  }
  Shape shape = first;
  shape.set(a, total);
  const DType dtype = desc.dtype;
  return emit(*parts[0].graph, std::move(desc), std::move(inputs), shape, dtype);
}

Value slice(Value x, int axis, std::int64_t begin, std::int64_t end) {
  op::Dims dims("slice");
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  const int a = resolve_axis(dims, x.shape(), axis);
  if (begin < 0 || begin > end || end > x.shape()[a]) {
    dims.fail("begin, end", "must satisfy 0 <= begin <= end <= " + std::to_string(x.shape()[a]) + ", got " +
                                std::to_string(begin) + " and " + std::to_string(end));
  }
  const Split s = split_at(x.shape(), a);
  Shape shape = x.shape();
  shape.set(a, end - begin);
  return emit(*x.graph, op::SliceDesc{x.dtype(), s.outer, s.extent, s.inner, begin, end}, {x.id}, shape, x.dtype());
}

Value context_window(Value x, int radius, Value lengths) {
  op::Dims dims("context_window");
  require(dims, "x", x);
  Graph& g = common_graph(dims, {{"x", x}, {"lengths", lengths}});
  dims.match_float("x", x.dtype());
  dims.match("x", x.shape(), "T N E");
  if (lengths) {
    dims.match_dtype("lengths", lengths.dtype(), DType::i32);
    dims.match("lengths", lengths.shape(), "N");
  }
  if (radius < 0) dims.fail("radius", "must not be negative, got " + std::to_string(radius));
  return emit(g, op::WindowDesc{x.dtype(), dims["T"], dims["N"], dims["E"], radius}, {x.id, lengths.id},
              with_last(x.shape(), (2 * radius + 1) * dims["E"]), x.dtype());
}

Value dropout(Value x, float rate, bool shared_steps) {
  op::Dims dims("dropout");
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  check_rate(dims, "rate", rate);
  if (shared_steps && x.shape().rank() != 3) {
    dims.fail("x", "must be [T, N, E] for a mask shared by all steps, got " + to_string(x.shape()));
  }
  Data& data = x.graph->data();
  if (!data.training || rate == 0.f) return x;
  const Shape shape = x.shape();
  const std::int64_t count = shape.elements();
  const std::int64_t period = shared_steps ? shape[1] * shape[2] : count;
  const int step = graph::step_value(data);
  return emit(*x.graph, op::DropoutDesc{x.dtype(), count, period, rate, data.seed, data.next_stream++ * 8 + 7},
              {x.id, step}, shape, x.dtype());
}

Value softmax(Value x) { return soft("softmax", x, false); }
Value log_softmax(Value x) { return soft("log_softmax", x, true); }

Value reduce(Value x, Reduction reduction, int axis) {
  op::Dims dims("reduce");
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  const int a = resolve_axis(dims, x.shape(), axis);
  const Split s = split_at(x.shape(), a);
  if (reduction == Reduction::max && s.extent == 0) dims.fail("x", "has an empty axis, which has no maximum");
  Shape shape;
  for (int i = 0; i < x.shape().rank(); ++i) {
    if (i != a) shape.push_back(x.shape()[i]);
  }
  return emit(*x.graph,
              op::ReduceDesc{static_cast<op::ReduceDesc::Kind>(reduction), x.dtype(), s.outer, s.extent, s.inner},
              {x.id}, shape, x.dtype());
}

Value reduce_all(Value x, Reduction reduction) {
  op::Dims dims("reduce_all");
  require(dims, "x", x);
  dims.match_float("x", x.dtype());
  const std::int64_t count = x.shape().elements();
  if (reduction == Reduction::max && count == 0) dims.fail("x", "is empty and has no maximum");
  return emit(*x.graph, op::ReduceDesc{static_cast<op::ReduceDesc::Kind>(reduction), x.dtype(), 1, count, 1}, {x.id},
              Shape{}, x.dtype());
}

Value cross_entropy(Value logits, Value labels, Value lengths, const CrossEntropyOptions& options) {
  op::Dims dims("cross_entropy");
  require(dims, "logits", logits);
  require(dims, "labels", labels);
  Graph& g = common_graph(dims, {{"logits", logits}, {"labels", labels}, {"lengths", lengths}});
  dims.match_float("logits", logits.dtype());
  dims.match_dtype("labels", labels.dtype(), DType::i32);
  check_rate(dims, "label_smoothing", options.label_smoothing);
  if (logits.shape().rank() < 1) dims.fail("logits", "must have a class axis");
  Shape expected;
  for (int i = 0; i + 1 < logits.shape().rank(); ++i) expected.push_back(logits.shape()[i]);
  if (!(labels.shape() == expected)) {
    dims.fail("labels", "must be " + to_string(expected) + ", the leading axes of logits " + to_string(logits.shape()) +
                            ", got " + to_string(labels.shape()));
  }
  if (lengths) {
    dims.match_dtype("lengths", lengths.dtype(), DType::i32);
    dims.match("logits", logits.shape(), "T N K", "lengths need a step and a batch axis");
    dims.match("lengths", lengths.shape(), "N");
  }
  const std::int64_t rows = expected.elements(), classes = logits.shape().back();
  if (classes == 0) dims.fail("logits", "has no classes: " + to_string(logits.shape()));
  const std::int64_t n = expected.rank() >= 2 ? expected[1] : rows;
  const int loss = graph::add_value(g.data(), Shape{}, logits.dtype());
  const int lse = graph::add_value(g.data(), expected, logits.dtype());
  graph::add_node(g.data(),
                  op::CrossEntropyDesc{logits.dtype(), rows, n, classes, options.ignore_index, options.label_smoothing},
                  {logits.id, labels.id, lengths.id}, {loss, lse});
  return {&g, loss};
}

Value mean_squared_error(Value x, Value target, Value lengths) {
  op::Dims dims("mean_squared_error");
  require(dims, "x", x);
  require(dims, "target", target);
  Graph& g = common_graph(dims, {{"x", x}, {"target", target}, {"lengths", lengths}});
  dims.match_float("x", x.dtype());
  dims.match_dtype("target", target.dtype(), x.dtype());
  if (!(x.shape() == target.shape())) {
    dims.fail("target", "must be " + to_string(x.shape()) + " like x, got " + to_string(target.shape()));
  }
  const Shape shape = x.shape();
  std::int64_t rows = shape.elements(), n = rows, width = 1;
  if (lengths) {
    dims.match_dtype("lengths", lengths.dtype(), DType::i32);
    if (shape.rank() < 2) dims.fail("x", "must be [T, N, ...] with lengths, got " + to_string(shape));
    op::Dims sized("mean_squared_error", {{"N", shape[1]}});
    sized.match("lengths", lengths.shape(), "N");
    rows = shape[0] * shape[1];
    n = shape[1];
    width = 1;
    for (int i = 2; i < shape.rank(); ++i) width *= shape[i];
  }
  return emit(g, op::SquaredErrorDesc{x.dtype(), rows, n, width}, {x.id, target.id, lengths.id}, Shape{}, x.dtype());
}

}  // namespace seqgpu
