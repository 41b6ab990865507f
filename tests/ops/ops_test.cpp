#include <gtest/gtest.h>

#include <cstdio>

#include "tests/ops/all_cases.hpp"
#include "tests/support/sharing_cpu.hpp"

// Every operation: values against tests/reference, gradients against central differences.
namespace seqgpu::ops {
namespace {

TEST(Ops, ValuesMatchReference) {
  const Device one = cpu_device(1);
  for (const int64_t size : {0, 1, 2, 15, 16, 17, 31, 32, 33, 100})
    for (const Case& c : all_cases(size)) expect_values(c, one);
  // Several tiles of every kind of loop.
  for (const Case& c : all_cases(5000)) expect_values(c, one);
}

TEST(Ops, ValuesWithThreads) {
  const Device three = support::sharing_cpu(3);  // more than most test machines have cores
  for (const int64_t size : {0, 17, 5000})
    for (const Case& c : all_cases(size)) expect_values(c, three);
}

TEST(Ops, GradientsMatchCentralDifferences) {
  const Device one = cpu_device(1);
  int configurations = 0;
  std::int64_t compared = 0;
  for (const int64_t size : {0, 1, 2, 7}) {
    for (const Case& c : all_cases(size)) {
      compared += expect_gradients(c, one);
      ++configurations;
    }
    for (const bool shared : {false, true}) {
      compared += expect_gradients(dropout_case(size, 3, 4, 0.4f, shared), one);
      ++configurations;
    }
  }
  std::printf("operations: %d configurations, %lld gradient elements\n", configurations,
              static_cast<long long>(compared));
  EXPECT_GE(configurations, 300);
}

// The type that trains, at sizes where its SIMD paths and tiles begin and end.
TEST(Ops, FloatGradientsMatchDouble) {
  const Device one = cpu_device(1), two = cpu_device(2);
  for (const int64_t size : {0, 1, 15, 16, 17, 31, 32, 33, 100, 5000}) {
    for (const Case& c : all_cases(size)) {
      // A weight's gradient sums over rows, of which there are at most 4 * size.
      expect_float_gradients(c, one, c.terms + 4 * static_cast<double>(size));
      if (size == 5000) expect_float_gradients(c, two, c.terms + 4 * static_cast<double>(size));
    }
  }
}

TEST(Ops, DropoutDrawsPhiloxMask) {
  for (const int threads : {1, 2, 4})
    for (const float rate : {0.f, 0.25f, 0.5f, 0.9f})
      for (const bool shared : {false, true}) {
        expect_values(dropout_case(1, 1, 1, rate, shared), support::sharing_cpu(threads), true);
        expect_values(dropout_case(9, 31, 33, rate, shared), support::sharing_cpu(threads), true);
      }
}

TEST(Ops, DropoutIsOffOutsideTraining) {
  Case c = dropout_case(3, 2, 5, 0.5f, false);
  c.want = {c.leaves[0].values};
  expect_values(c, cpu_device(1), false);
}

TEST(Ops, DropoutStatistics) {
  Case c = dropout_case(20, 50, 100, 0.3f, false);
  std::fill(c.leaves[0].values.begin(), c.leaves[0].values.end(), 1);
  const Vector y = run_values(c, DType::f32, true, cpu_device(2))[0];
  double kept = 0, sum = 0;
  for (const double v : y) kept += v != 0, sum += v;
  const double n = static_cast<double>(y.size()), sigma = std::sqrt(0.3 * 0.7 / n);
  EXPECT_NEAR(kept / n, 0.7, 5 * sigma);
  EXPECT_NEAR(sum / n, 1, 5 * sigma / 0.7);
}

TEST(Ops, DropoutMaskChangesWithStepAndNode) {
  const Device device = cpu_device(1);
  Parameters parameters(device, 1);
  parameters.add("x", {100}, {Initializer::Kind::constant, 1.f});
  Trainer trainer(device, parameters, Sgd{.rate = 0.f}, [&](Graph& g) {
    const Value x = parameters.use(g, "x"), a = dropout(x, 0.5f), b = dropout(x, 0.5f);
    g.output("a", a), g.output("b", b);
    return reduce_all(add(a, b), Reduction::sum);
  });
  trainer.step({});
  const Vector a0 = support::widen(trainer.output("a")), b0 = support::widen(trainer.output("b"));
  trainer.step({});
  EXPECT_NE(a0, b0);
  EXPECT_NE(a0, support::widen(trainer.output("a")));
}

// Softmax and cross-entropy where exp() of a logit would overflow or vanish.
TEST(Ops, LargeLogits) {
  for (const double scale : {100., 1e4}) {
    Case c = cross_entropy_case(3, 4, 17, true, -100, 0.1f);
    for (double& v : c.leaves[0].values) v = static_cast<float>(v * scale);
    reference::Ints labels;
    for (const auto v : c.batch.at("labels").view<std::int32_t>()) labels.push_back(v);
    c.want = {{reference::cross_entropy(c.leaves[0].values, labels, 17, 4, ragged(3, 4), -100, double(0.1f))}};
    expect_values(c, cpu_device(1));
    for (const bool log : {false, true}) {
      Case s = softmax_case(3, 33, log, scale);
      s.terms += scale;  // softmax: an ulp of the exponent is scale ulps of the result
      expect_values(s, cpu_device(1));
    }
  }
}

TEST(Ops, MaxTieGoesToLowestIndex) {
  Case c = reduce_case({4}, 0, Reduction::max);
  c.leaves[0].values = {1, 2, 2, 0};
  const Device device = cpu_device(1);
  Parameters parameters(device, 1, DType::f64);
  c.declare(parameters);
  Trainer trainer(device, parameters, Sgd{.rate = 0.f}, [&](Graph& g) { return c.build({g, parameters})[0]; });
  EXPECT_EQ(trainer.step({}), 2.f);
  EXPECT_EQ(support::widen(trainer.gradient("x")), (Vector{0, 1, 0, 0}));
}

}  // namespace
}  // namespace seqgpu::ops
