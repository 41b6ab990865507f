#pragma once

#include <string>
#include <vector>

#include "kernels/math/philox.hpp"
#include "tests/reference/ops.hpp"
#include "tests/support/gradient_check.hpp"

// Each operation as a Case: its graph, and its values from tests/reference.
namespace seqgpu::ops {

using std::int64_t;
using support::Case;
using support::leaf;
using support::Leaf;
using support::Scope;
using support::Vector;

inline std::string text(std::initializer_list<int64_t> sizes) {
  std::string s;
  for (const auto v : sizes) s += "_" + std::to_string(v);
  return s;
}
inline HostTensor ints(const Shape& shape, const reference::Ints& values) {
  return HostTensor::of(shape, std::vector<std::int32_t>(values.begin(), values.end()));
}
/// Lengths with 0 and T among them.
inline reference::Ints ragged(int64_t T, int64_t N) {
  reference::Ints l;
  for (int64_t n = 0; n < N; ++n) l.push_back(n == 0 ? T : n == 1 ? 0 : (n * 7) % (T + 1));
  return l;
}

inline Case embedding_case(int64_t V, int64_t E, int64_t count) {
  const Leaf table = leaf("table", {V, E});
  reference::Ints ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back((i * i + i / 3) % V);  // squares repeat
  return {"embedding" + text({V, E, count}),
          {table},
          {{"ids", ints({count}, ids)}},
          [](const Scope& s) { return std::vector{embedding(s("table"), s.ids("ids", {"C"}))}; },
          {reference::embedding(table.values, ids, E)}};
}

inline Case matmul_case(int64_t m, int64_t n, int64_t k, bool transpose_b) {
  const Leaf a = leaf("a", {m, k}), b = leaf("b", transpose_b ? Shape{n, k} : Shape{k, n});
  return {"matmul" + text({m, n, k, transpose_b}),
          {a, b},
          {},
          [=](const Scope& s) { return std::vector{matmul(s("a"), s("b"), transpose_b)}; },
          {reference::matmul(a.values, b.values, m, n, k, transpose_b)},
          static_cast<double>(k)};
}

inline Case linear_case(int64_t rows, int64_t I, int64_t O, bool bias) {
  const Leaf x = leaf("x", {rows, 2, I}), w = leaf("w", {O, I}), b = leaf("bias", {O});
  return {"linear" + text({rows, I, O, bias}),
          {x, w, b},
          {},
          [=](const Scope& s) { return std::vector{linear(s("x"), s("w"), bias ? s("bias") : Value{})}; },
          {reference::matmul(x.values, w.values, rows * 2, O, I, true, bias ? b.values : Vector{})},
          static_cast<double>(I)};
}

/// (a b) c' with each operand plain or transposed, then times the first again: one value read by several products.
inline Case chain_case(bool first, bool second) {
  const int64_t m = 3, k = 4, p = 2;
  const Leaf a = leaf("a", {m, k}), b = leaf("b", first ? Shape{p, k} : Shape{k, p}),
             c = leaf("c", second ? Shape{k, p} : Shape{p, k});
  const Vector ab = reference::matmul(a.values, b.values, m, p, k, first);
  const Vector abc = reference::matmul(ab, c.values, m, k, p, second);
  return {"matmul_chain" + text({first, second}),
          {a, b, c},
          {},
          [=](const Scope& s) {
            return std::vector{matmul(matmul(matmul(s("a"), s("b"), first), s("c"), second), s("a"), true)};
          },
          {reference::matmul(abc, a.values, m, m, k, true)},
          20};
}

inline Case binary_case(bool product, const Shape& sa, const Shape& sb) {
  const Leaf a = leaf("a", sa), b = leaf("bb", sb);
  const auto f = [=](double x, double y) { return product ? x * y : x + y; };
  return {std::string(product ? "mul " : "add ") + to_string(sa) + to_string(sb),
          {a, b},
          {},
          [=](const Scope& s) { return std::vector{product ? mul(s("a"), s("bb")) : add(s("a"), s("bb"))}; },
          {a.values.empty() ? Vector{} : reference::zip(a.values, b.values, f)}};
}

inline Case twice_case(bool product) {
  const Leaf a = leaf("a", {3, 5});
  Vector want;
  for (const double v : a.values) want.push_back(product ? v * v * v : 3 * v);
  return {product ? "mul_same" : "add_same",
          {a},
          {},
          [=](const Scope& s) {
            const Value v = s("a");
            return std::vector{product ? mul(mul(v, v), v) : add(add(v, v), v)};
          },
          {want}};
}

inline Case affine_case(int64_t count, float scale, float shift) {
  const Leaf x = leaf("x", {count});
  Vector want;
  for (const double v : x.values) want.push_back(double(scale) * v + double(shift));
  return {"affine" + text({count}),
          {x},
          {},
          [=](const Scope& s) { return std::vector{affine(s("x"), scale, shift)}; },
          {want}};
}

inline Case activation_case(int64_t count, Activation activation, double scale) {
  const Leaf x = leaf("x", {count}, scale);
  Vector want;
  for (const double v : x.values)
    want.push_back(activation == Activation::tanh      ? std::tanh(v)
                   : activation == Activation::relu    ? std::max(v, 0.)
                   : activation == Activation::sigmoid ? 1 / (1 + std::exp(-v))
                                                       : v);
  return {std::string(to_string(activation)) + text({count}),
          {x},
          {},
          [=](const Scope& s) { return std::vector{activate(s("x"), activation)}; },
          {want}};
}

inline int64_t product(const Shape& s, int begin, int end) {
  int64_t p = 1;
  for (int i = begin; i < end; ++i) p *= s[i];
  return p;
}

/// Parts whose extents along `axis` are given; the first part comes twice.
inline Case concat_case(const Shape& shape, int axis, const reference::Ints& extents) {
  Case c{"concat" + to_string(shape) + " axis " + std::to_string(axis), {}, {}, {}};
  std::vector<Vector> parts;
  reference::Ints all = extents;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    Shape s = shape;
    s.set(axis, extents[i]);
    c.leaves.push_back(leaf(std::string(i + 1, 'p'), s));
    parts.push_back(c.leaves.back().values);
  }
  parts.push_back(parts[0]);
  all.push_back(extents[0]);
  c.build = [=, count = extents.size()](const Scope& s) {
    std::vector<Value> values;
    for (std::size_t i = 0; i < count; ++i) values.push_back(s(std::string(i + 1, 'p')));
    values.push_back(values[0]);
    return std::vector{concat(values, axis % 2 ? axis : axis - shape.rank())};
  };
  c.want = {reference::concat(parts, all, product(shape, 0, axis), product(shape, axis + 1, shape.rank()))};
  return c;
}

inline Case slice_case(const Shape& shape, int axis, int64_t begin, int64_t end) {
  const Leaf x = leaf("x", shape);
  return {"slice" + to_string(shape) + text({axis, begin, end}),
          {x},
          {},
          [=](const Scope& s) { return std::vector{slice(s("x"), axis, begin, end)}; },
          {reference::slice(x.values, product(shape, 0, axis), shape[axis], product(shape, axis + 1, shape.rank()),
                            begin, end)}};
}

inline Case window_case(int64_t T, int64_t N, int64_t E, int radius, bool with_lengths) {
  const Leaf x = leaf("x", {T, N, E});
  const reference::Ints lengths = with_lengths ? ragged(T, N) : reference::Ints{};
  Batch batch;
  if (with_lengths) batch["lengths"] = ints({N}, lengths);
  return {"window" + text({T, N, E, radius, with_lengths}),
          {x},
          batch,
          [=](const Scope& s) {
            return std::vector{context_window(s("x"), radius, with_lengths ? s.ids("lengths", {"N"}) : Value{})};
          },
          {reference::window(x.values, T, N, E, radius, lengths)}};
}

/// As in the first step of a training run. The first node draws from Philox stream 1 * 8 + 7: recurrent layers
/// own the other residues.
inline Case dropout_case(int64_t T, int64_t N, int64_t E, float rate, bool shared) {
  const Leaf x = leaf("x", {T, N, E});
  Case c{"dropout" + text({T, N, E, shared}), {x}, {}, [=](const Scope& s) {
           return std::vector{dropout(s("x"), rate, shared)};
         }};
  Vector want = x.values;
  const int64_t period = shared ? N * E : T * N * E;
  for (std::size_t i = 0; i < want.size(); ++i) {
    const auto index = static_cast<std::uint64_t>(static_cast<int64_t>(i) % period);
    want[i] = math::uniform(c.seed, 15, 0, index) >= rate ? want[i] / (1 - double(rate)) : 0;
  }
  c.want = {want};
  return c;
}

inline Case softmax_case(int64_t rows, int64_t cols, bool log, double scale) {
  const Leaf x = leaf("x", {rows, cols}, scale);
  return {(log ? "log_softmax" : "softmax") + text({rows, cols}),
          {x},
          {},
          [=](const Scope& s) { return std::vector{log ? log_softmax(s("x")) : softmax(s("x"))}; },
          {reference::softmax(x.values, cols, log)},
          static_cast<double>(cols)};
}

inline Case reduce_case(const Shape& shape, int axis, Reduction kind) {
  const Leaf x = leaf("x", shape);
  return {"reduce" + to_string(shape) + text({axis, static_cast<int>(kind)}),
          {x},
          {},
          [=](const Scope& s) { return std::vector{reduce(s("x"), kind, axis)}; },
          {reference::reduce(x.values, product(shape, 0, axis), shape[axis], product(shape, axis + 1, shape.rank()),
                             static_cast<int>(kind))},
          static_cast<double>(shape[axis])};
}

inline Case reduce_all_case(const Shape& shape, Reduction kind) {
  const Leaf x = leaf("x", shape);
  return {"reduce_all" + to_string(shape) + text({static_cast<int>(kind)}),
          {x},
          {},
          [=](const Scope& s) { return std::vector{reduce_all(s("x"), kind)}; },
          {reference::reduce(x.values, 1, shape.elements(), 1, static_cast<int>(kind))},
          static_cast<double>(shape.elements())};
}

/// ignore: -100 for labels that never say so, else a class that does not count.
inline Case cross_entropy_case(int64_t T, int64_t N, int64_t K, bool with_lengths, std::int32_t ignore,
                               float smoothing) {
  const Leaf x = leaf("x", {T, N, K}, 3);
  const reference::Ints lengths = with_lengths ? ragged(T, N) : reference::Ints{};
  reference::Ints labels;
  for (int64_t i = 0; i < T * N; ++i) labels.push_back(i % 5 == 3 ? (ignore == -100 ? 0 : ignore) : (i * 3 + 1) % K);
  Batch batch{{"labels", ints({T, N}, labels)}};
  if (with_lengths) batch["lengths"] = ints({N}, lengths);
  return {"cross_entropy" + text({T, N, K, with_lengths, ignore}) + (smoothing > 0 ? "_smooth" : ""),
          {x},
          batch,
          [=](const Scope& s) {
            return std::vector{cross_entropy(s("x"), s.ids("labels", {"T", "N"}),
                                             with_lengths ? s.ids("lengths", {"N"}) : Value{},
                                             {.ignore_index = ignore, .label_smoothing = smoothing})};
          },
          {{reference::cross_entropy(x.values, labels, K, N, lengths, ignore, double(smoothing))}},
          static_cast<double>(T * N + K)};
}

inline Case squared_error_case(int64_t T, int64_t N, int64_t E, bool with_lengths) {
  const Leaf x = leaf("x", {T, N, E}), target = leaf("target", {T, N, E});
  const reference::Ints lengths = with_lengths ? ragged(T, N) : reference::Ints{};
  Batch batch;
  if (with_lengths) batch["lengths"] = ints({N}, lengths);
  return {
      "mean_squared_error" + text({T, N, E, with_lengths}),
      {x, target},
      batch,
      [=](const Scope& s) {
        return std::vector{mean_squared_error(s("x"), s("target"), with_lengths ? s.ids("lengths", {"N"}) : Value{})};
      },
      {{reference::squared_error(x.values, target.values, N, E, lengths)}},
      static_cast<double>(T * N * E)};
}

}  // namespace seqgpu::ops
