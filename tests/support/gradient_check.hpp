#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "seqgpu/seqgpu.hpp"

// A graph described once, run for its values in either dtype and for its gradients against central differences.
namespace seqgpu::support {

using Vector = std::vector<double>;

/// Numbers in [-1, 1) that f32 holds exactly, so that f32 and f64 runs see the same.
inline Vector random_vector(std::int64_t count, unsigned seed, double scale = 1) {
  std::mt19937 random(seed * 7919u + static_cast<unsigned>(count));
  std::uniform_real_distribution<double> uniform(-scale, scale);
  Vector v(static_cast<std::size_t>(count));
  for (double& x : v) x = static_cast<double>(static_cast<float>(uniform(random)));
  return v;
}

inline HostTensor tensor(DType dtype, const Shape& shape, const Vector& values) {
  if (dtype == DType::f64) return HostTensor::of(shape, values);
  if (dtype == DType::f32) return HostTensor::of(shape, std::vector<float>(values.begin(), values.end()));
  return HostTensor::of(shape, std::vector<std::int32_t>(values.begin(), values.end()));
}

inline Vector widen(const HostTensor& t) {
  if (t.dtype == DType::f64) return {t.view<double>().begin(), t.view<double>().end()};
  return {t.view<float>().begin(), t.view<float>().end()};
}

/// A tensor to differentiate by.
struct Leaf {
  std::string name;
  Shape shape;
  Vector values;
};
inline Leaf leaf(const std::string& name, const Shape& shape, double scale = 1) {
  return {name, shape, random_vector(shape.elements(), static_cast<unsigned>(name.size() * 31 + name[0]), scale)};
}

struct Scope {
  Graph& graph;
  const Parameters& parameters;
  Value operator()(const std::string& name) const { return parameters.use(graph, name); }
  Value ids(const char* name, std::initializer_list<const char*> axes) const {
    return graph.input(name, DType::i32, axes);
  }
};

struct Case {
  std::string name;
  std::vector<Leaf> leaves;
  Batch batch;  // integers
  std::function<std::vector<Value>(const Scope&)> build;
  std::vector<Vector> want = {};                  // of build's values, from the equations in double; empty: not known
  double terms = 1;                               // roundings that add up in one element
  std::function<void(Parameters&)> modules = {};  // adds further parameters to differentiate by
  std::uint64_t seed = 5;

  void declare(Parameters& parameters) const {
    for (const Leaf& l : leaves) {
      parameters.add(l.name, l.shape, {});
      parameters.set(l.name, tensor(parameters.dtype(), l.shape, l.values));
    }
    if (modules) modules(parameters);
  }
};

/// The values that `build` describes. @param training  runs as a Trainer's first step, with masks
inline std::vector<Vector> run_values(const Case& c, DType dtype, bool training, const Device& device) {
  Parameters parameters(device, c.seed, dtype);
  c.declare(parameters);
  std::size_t count = 0;
  const auto outputs = [&](Graph& graph) {
    const std::vector<Value> values = c.build({graph, parameters});
    count = values.size();
    for (std::size_t i = 0; i < count; ++i) graph.output("y" + std::to_string(i), values[i]);
    return values[0];
  };
  std::vector<Vector> result;
  if (training) {
    Trainer trainer(device, parameters, Sgd{.rate = 0.f},
                    [&](Graph& graph) { return reduce_all(outputs(graph), Reduction::sum); });
    trainer.step(c.batch);
    for (std::size_t i = 0; i < count; ++i) result.push_back(widen(trainer.output("y" + std::to_string(i))));
  } else {
    Session session(device, parameters, [&](Graph& graph) { outputs(graph); });
    const TensorMap out = session.run(c.batch);
    for (std::size_t i = 0; i < count; ++i) result.push_back(widen(out.at("y" + std::to_string(i))));
  }
  return result;
}

/// max |a - b| / max(1, |b|); infinite for a NaN or another size.
inline double distance(const Vector& a, const Vector& b) {
  if (a.size() != b.size()) return INFINITY;
  double worst = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double error = std::abs(a[i] - b[i]) / std::max(1.0, std::abs(b[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
  }
  return worst;
}

inline void expect_values(const Case& c, const Device& device, bool training = false) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const auto got = run_values(c, dtype, training, device);
    ASSERT_EQ(got.size(), c.want.size()) << c.name;
    // Half an ulp for each rounding, all one way, and a few for the functions of the C library.
    const double unit = dtype == DType::f32 ? 6e-8 : 1.2e-16;
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_LE(distance(got[i], c.want[i]), unit * (16 + 2 * c.terms))
          << c.name << " " << to_string(dtype) << " " << i;
    }
  }
}

/// A Case under a loss that weighs each element of each value by a fixed random number.
struct WeighedLoss {
  Parameters parameters;
  std::vector<std::string> names;  // of what to differentiate by
  std::optional<Trainer> trainer;

  WeighedLoss(const Case& c, const Device& device, DType dtype) : parameters(device, c.seed, dtype) {
    c.declare(parameters);
    names = parameters.names();
    Graph graph(true);
    for (const auto& [name, t] : c.batch) graph.bind(name, t.shape);
    int count = 0;
    for (const Value& v : c.build({graph, parameters})) {
      const std::string name = "loss_weight" + std::to_string(count);
      const Vector weights = random_vector(v.shape().elements(), 100 + static_cast<unsigned>(count++));
      parameters.add(name, v.shape(), {});
      parameters.set(name, tensor(dtype, v.shape(), weights));
    }
    trainer.emplace(device, parameters, Sgd{.rate = 0.f}, [this, build = c.build](Graph& g) {
      const Scope scope{g, parameters};
      const std::vector<Value> values = build(scope);
      Value loss;
      for (std::size_t i = 0; i < values.size(); ++i) {
        const Value part = reduce_all(mul(values[i], scope("loss_weight" + std::to_string(i))), Reduction::sum);
        loss = loss ? add(loss, part) : part;
      }
      return loss;
    });
  }
  WeighedLoss(const WeighedLoss&) = delete;
  WeighedLoss& operator=(const WeighedLoss&) = delete;
};

/// f32 gradients against f64 ones. @param terms  roundings that add up in one element
inline void expect_float_gradients(const Case& c, const Device& device, double terms) {
  WeighedLoss wide(c, device, DType::f64), narrow(c, device, DType::f32);
  wide.trainer->step(c.batch);
  narrow.trainer->step(c.batch);
  for (const std::string& name : wide.names) {
    const Vector want = widen(wide.trainer->gradient(name)), got = widen(narrow.trainer->gradient(name));
    EXPECT_LE(distance(got, want), 6e-8 * (16 + 2 * terms)) << c.name << ": f32 gradient by " << name;
  }
}

/// Compares every element of every gradient with (L(p + h) - L(p - h)) / 2h in f64. @return elements compared
inline std::int64_t expect_gradients(const Case& c, const Device& device) {
  WeighedLoss weighed(c, device, DType::f64);
  Parameters& parameters = weighed.parameters;
  Trainer& trainer = *weighed.trainer;
  const std::vector<std::string>& names = weighed.names;
  const auto loss = [&] {
    trainer.backward(c.batch);  // with the same masks each time
    return trainer.output("loss").view<double>()[0];
  };
  loss();
  std::vector<Vector> analytic;
  for (const std::string& name : names) analytic.push_back(widen(trainer.gradient(name)));
  std::int64_t compared = 0;
  for (std::size_t p = 0; p < names.size(); ++p) {
    HostTensor moved = parameters.get(names[p]);
    double worst = 0;
    for (std::size_t i = 0; i < analytic[p].size(); ++i) {
      // Truncation is h^2/6 times a third derivative of order 1, rounding 1e-16 |L| / h: both near 1e-11, far below
      // the bound of 1e-6 that the project states for its gradients.
      const double h = 1e-5, at = moved.view<double>()[i];
      double side[2];
      for (int s = 0; s < 2; ++s) {
        moved.view<double>()[i] = s == 0 ? at + h : at - h;
        parameters.set(names[p], moved);
        side[s] = loss();
      }
      moved.view<double>()[i] = at;
      const double numeric = (side[0] - side[1]) / (2 * h), a = analytic[p][i];
      const double error = std::abs(a - numeric) / std::max({1.0, std::abs(a), std::abs(numeric)});
      if (!(error <= worst)) worst = std::isnan(error) ? INFINITY : error;
      ++compared;
    }
    parameters.set(names[p], moved);
    EXPECT_LE(worst, 1e-6) << c.name << ": gradient by " << names[p];
  }
  return compared;
}

}  // namespace seqgpu::support
