#include <gtest/gtest.h>

#include <cstdio>
#include <map>

#include "tests/device/device_under_test.hpp"
#include "tests/device/run_op.hpp"
#include "tests/ops/all_cases.hpp"

// Every operation but the recurrent ones in f32 on the device under test: values against tests/reference, gradients
// against the CPU in f64, which central differences hold.
namespace seqgpu::ops {
namespace {

using support::OpRun;
using support::WeighedLoss;

/// The largest error of each operation as a part of what is allowed, for the test's log.
class Worst {
 public:
  explicit Worst(const char* what) : what_(what) {}
  void note(const std::string& name, double error, double bound) {
    EXPECT_LE(error, bound) << what_ << " of " << name;
    auto& [part, text] = of_[name.substr(0, name.find_first_of("_ 0123456789"))];
    if (error / bound < part) return;
    part = error / bound;
    char line[200];
    std::snprintf(line, sizeof line, "%.2g of %.2g, %s", error, bound, name.c_str());
    text = line;
  }
  ~Worst() {
    for (const auto& [name, worst] : of_) std::printf("%s: %-14s %s\n", what_, name.c_str(), worst.second.c_str());
  }

 private:
  const char* what_;
  std::map<std::string, std::pair<double, std::string>> of_;
};

// Half an ulp for each rounding, all one way, and a few for the functions of the C library: as for the CPU.
double value_bound(const Case& c) { return 6e-8 * (16 + 2 * c.terms); }

void check_values(const Case& c, Worst& worst, bool training = false) {
  const auto got = support::run_values(c, DType::f32, training, device_under_test());
  ASSERT_EQ(got.size(), c.want.size()) << c.name;
  for (std::size_t i = 0; i < got.size(); ++i) worst.note(c.name, support::distance(got[i], c.want[i]), value_bound(c));
}

TEST(DeviceOps, ValuesMatchReference) {
  Worst worst("value");
  for (const int64_t size : {0, 1, 31, 32, 33, 100})
    for (const Case& c : all_cases(size)) check_values(c, worst);
  for (const Case& c : all_cases(5000)) check_values(c, worst);  // several blocks
}

TEST(DeviceOps, GradientsMatchCpu) {
  const Device cpu = cpu_device(1);
  Worst worst("gradient");
  for (const int64_t size : {0, 1, 31, 32, 33, 1000})
    for (const Case& c : all_cases(size)) {
      WeighedLoss wide(c, cpu, DType::f64), narrow(c, device_under_test(), DType::f32);
      wide.trainer->step(c.batch);
      narrow.trainer->step(c.batch);
      // A weight's gradient sums over rows, of which there are at most 4 * size.
      const double bound = 6e-8 * (16 + 2 * (c.terms + 4 * static_cast<double>(size)));
      for (const std::string& name : wide.names) {
        const Vector want = support::widen(wide.trainer->gradient(name));
        worst.note(c.name, support::distance(support::widen(narrow.trainer->gradient(name)), want), bound);
      }
    }
}

TEST(DeviceOps, TwoRunsGiveTheSameBits) {
  for (const int64_t size : {33, 1000})
    for (const Case& c : all_cases(size)) {
      WeighedLoss first(c, device_under_test(), DType::f32), second(c, device_under_test(), DType::f32);
      EXPECT_EQ(first.trainer->step(c.batch), second.trainer->step(c.batch)) << c.name;
      for (const std::string& name : first.names)
        EXPECT_TRUE(first.trainer->gradient(name).bytes == second.trainer->gradient(name).bytes) << c.name << name;
    }
}

// Rows that a whole block shares, and embeddings of which one row is met by half of all ids.
TEST(DeviceOps, WideRowsAndLargeTables) {
  const Device cpu = cpu_device(1);
  Worst worst("wide");
  std::vector<Case> cases;
  for (const int64_t K : {1023, 1024, 1025, 2047, 50000}) {
    for (const bool flag : {false, true}) cases.push_back(softmax_case(2, K, flag, 2));
    cases.push_back(cross_entropy_case(2, 3, K, true, 1, 0.1f));
  }
  for (const int64_t V : {255, 256, 65535, 65536}) {  // where the sort takes one more pass
    const int64_t count = 3000, E = 3;
    reference::Ints ids;
    for (int64_t i = 0; i < count; ++i) ids.push_back(i % 2 ? V - 1 : i * i * 7 % V);
    Case c = embedding_case(V, E, 1);
    c.name = "embedding" + text({V, E, count});
    c.batch["ids"] = ints({count}, ids);
    c.want = {reference::embedding(c.leaves[0].values, ids, E)};
    c.terms = 1500;
    cases.push_back(c);
  }
  for (const Case& c : cases) {
    check_values(c, worst);
    WeighedLoss wide(c, cpu, DType::f64), narrow(c, device_under_test(), DType::f32);
    wide.trainer->step(c.batch);
    narrow.trainer->step(c.batch);
    for (const std::string& name : wide.names) {
      const Vector want = support::widen(wide.trainer->gradient(name));
      worst.note(c.name, support::distance(support::widen(narrow.trainer->gradient(name)), want), value_bound(c));
    }
  }
}

// More work than a launch has blocks: each takes several rounds.
TEST(DeviceOps, SeveralRoundsOfABlock) {
  const Device cpu = cpu_device(1);
  Worst worst("rounds");
  std::vector<Case> cases{embedding_case(300, 1, 40000), cross_entropy_case(200, 3, 1025, true, 1, 0.1f),
                          reduce_case({4200, 257}, 1, Reduction::sum), reduce_case({4200, 257}, 1, Reduction::max)};
  cases[0].terms = 40000.0 / 300;
  for (const Case& c : cases) {
    check_values(c, worst);
    WeighedLoss wide(c, cpu, DType::f64), narrow(c, device_under_test(), DType::f32);
    wide.trainer->step(c.batch);
    narrow.trainer->step(c.batch);
    for (const std::string& name : wide.names) {
      const Vector want = support::widen(wide.trainer->gradient(name));
      worst.note(c.name, support::distance(support::widen(narrow.trainer->gradient(name)), want), value_bound(c));
    }
  }
}

TEST(DeviceOps, LargeLogits) {
  Worst worst("large logits");
  for (const double scale : {100., 1e4})
    for (const bool log : {false, true}) {
      Case s = softmax_case(3, 33, log, scale);
      s.terms += scale;  // softmax: an ulp of the exponent is scale ulps of the result
      check_values(s, worst);
    }
}

// Infinite rows and NaNs end as on the CPU.
TEST(DeviceOps, SoftmaxOfInfinities) {
  const float inf = INFINITY, nan = NAN;
  const std::vector<float> x{1, inf, 2, -inf, -inf, -inf, 0, nan, 1, -inf, 0, 1};
  for (const bool log : {false, true}) {
    const OpRun run{op::SoftmaxDesc{DType::f32, 4, 3, log}, {support::bytes_of(x)}, {48}};
    const auto got = support::values_of<float>(run.on(device_under_test())[0]);
    const auto want = support::values_of<float>(run.on(cpu_device(1))[0]);
    for (std::size_t i = 0; i < x.size(); ++i) {
      EXPECT_EQ(std::isnan(got[i]), std::isnan(want[i])) << i;
      if (std::isfinite(want[i])) {
        EXPECT_NEAR(got[i], want[i], 1e-6) << i;
      } else if (!std::isnan(want[i])) {
        EXPECT_EQ(got[i], want[i]) << i;
      }
    }
  }
}

// Ties go to the lowest index; a NaN in front stays, others do not count.
TEST(DeviceOps, MaximumIsTheCpus) {
  const float nan = NAN, inf = INFINITY;
  const std::vector<float> x{1,   2,   2,  0,  nan, 5,    5,    7,    3,    nan, 3,    1,
                             nan, nan, -1, -1, 0.f, -0.f, -inf, -inf, -inf, nan, -inf, nan};
  for (const auto& [outer, extent, inner] : {std::tuple{6, 4, 1}, {1, 24, 1}, {3, 4, 2}, {1, 8, 3}, {2, 2, 6}}) {
    const auto sizes = [&](auto desc) {
      desc.kind = op::ReduceDesc::Kind::max, desc.dtype = DType::f32;
      desc.outer = outer, desc.extent = extent, desc.inner = inner;
      return desc;
    };
    std::vector<float> dy(static_cast<std::size_t>(outer * inner));
    for (std::size_t i = 0; i < dy.size(); ++i) dy[i] = static_cast<float>(i) + 1;
    const OpRun forward{sizes(op::ReduceDesc{}), {support::bytes_of(x)}, {outer * inner * 4}};
    const OpRun backward{sizes(op::ReduceBackwardDesc{}), {support::bytes_of(x), support::bytes_of(dy)}, {96}};
    for (const OpRun& run : {forward, backward}) {
      EXPECT_TRUE(run.on(device_under_test()) == run.on(cpu_device(1))) << op::name_of(run.desc) << " " << extent;
    }
  }
}

/// `desc` on random inputs of these counts, in memory that is aligned and that is not, and in place where it may be.
void check_alignment(const op::AnyDesc& desc, const std::vector<int64_t>& counts, int64_t output) {
  std::vector<support::Bytes> inputs;
  for (const int64_t count : counts) {
    const Vector v = support::random_vector(count, static_cast<unsigned>(inputs.size()) + 1);
    inputs.push_back(support::bytes_of(std::vector<float>(v.begin(), v.end())));
  }
  if (std::holds_alternative<op::DropoutDesc>(desc)) inputs[1] = support::bytes_of(std::vector<int64_t>{3});
  const auto aligned = OpRun{desc, inputs, {output * 4}}.on(device_under_test());
  if (!std::holds_alternative<op::DropoutDesc>(desc)) {  // its step is an i64, which is not to be moved
    EXPECT_TRUE((OpRun{desc, inputs, {output * 4}, 4}.on(device_under_test()) == aligned)) << op::name_of(desc);
  }
  if (op::in_place(desc)) {
    EXPECT_TRUE((OpRun{desc, inputs, {output * 4}, 0, true}.on(device_under_test()) == aligned)) << op::name_of(desc);
  }
  const auto cpu = support::values_of<float>(OpRun{desc, inputs, {output * 4}}.on(cpu_device(1))[0]);
  const auto got = support::values_of<float>(aligned[0]);
  const double error = support::distance({got.begin(), got.end()}, {cpu.begin(), cpu.end()});
  EXPECT_LE(error, 1e-6) << op::name_of(desc);
}

TEST(DeviceOps, AnyAlignmentAndInPlace) {
  const DType f = DType::f32;
  for (const int64_t n : {4, 7, 36, 1032}) {
    check_alignment(op::FillDesc{f, n, 2.5}, {}, n);
    check_alignment(op::CopyDesc{f, n}, {n}, n);
    check_alignment(op::AffineDesc{f, n, 2, 1}, {n}, n);
    for (const Activation a : kActivations) {
      check_alignment(op::ActivationDesc{f, n, a}, {n}, n);
      check_alignment(op::ActivationBackwardDesc{f, n, a}, {n, n}, n);
    }
    for (const auto kind : {op::BinaryDesc::Kind::add, op::BinaryDesc::Kind::mul}) {
      check_alignment(op::BinaryDesc{kind, f, n, n}, {n, n}, n);
      check_alignment(op::BinaryDesc{kind, f, 3 * n, n}, {3 * n, n}, 3 * n);
    }
    check_alignment(op::DropoutDesc{f, 3 * n, n, 0.4f, 1, 2}, {3 * n, 1}, 3 * n);
    check_alignment(op::DropoutDesc{f, n, n, 0.4f, 1, 2}, {n, 1}, n);
    check_alignment(op::ConcatDesc{f, 3, 1, {n, 4, n}}, {3 * n, 12, 3 * n}, 3 * (2 * n + 4));
    check_alignment(op::ConcatDesc{f, 2, n, std::vector<int64_t>(11, 1)}, std::vector<int64_t>(11, 2 * n), 22 * n);
    check_alignment(op::SliceDesc{f, 3, n, 4, 1, 3}, {12 * n}, 24);
    check_alignment(op::SliceBackwardDesc{f, 3, n, 4, 1, 3}, {24}, 12 * n);
    check_alignment(op::SoftmaxDesc{f, 3, n, true}, {3 * n}, 3 * n);
    check_alignment(op::SoftmaxBackwardDesc{f, 3, n, false}, {3 * n, 3 * n}, 3 * n);
    check_alignment(op::ReduceDesc{op::ReduceDesc::Kind::mean, f, 3, n, 2}, {6 * n}, 6);
    check_alignment(op::ReduceBackwardDesc{op::ReduceDesc::Kind::mean, f, 3, n, 2}, {0, 6}, 6 * n);
    check_alignment(op::SquaredErrorDesc{f, n, n, 1}, {n, n, 0}, 1);
    check_alignment(op::SquaredErrorBackwardDesc{f, n, n, 1}, {n, n, 0, 1}, n);
  }
}

// Sums are in parts where few outputs have long extents.
TEST(DeviceOps, LongReductions) {
  Worst worst("long");
  for (const Reduction r : kReductions) {
    check_values(reduce_all_case({40000, 2}, r), worst);
    check_values(reduce_case({2, 9000, 3}, 1, r), worst);
    check_values(reduce_case({9000, 40}, 0, r), worst);
    check_values(reduce_case({700, 3, 2}, 1, r), worst);
  }
}

TEST(DeviceOps, DropoutDrawsTheCpusMask) {
  for (const float rate : {0.25f, 0.5f, 0.9f})
    for (const bool shared : {false, true})
      for (const auto& [T, N, E] : {std::tuple{1, 1, 1}, {3, 2, 3}, {9, 31, 33}, {5, 4, 8}}) {
        Case c = dropout_case(T, N, E, rate, shared);
        const auto got = support::run_values(c, DType::f32, true, device_under_test());
        EXPECT_EQ(got, support::run_values(c, DType::f32, true, cpu_device(1))) << c.name;
        WeighedLoss here(c, device_under_test(), DType::f32), there(c, cpu_device(1), DType::f32);
        for (int step = 0; step < 3; ++step) here.trainer->step({}), there.trainer->step({});
        EXPECT_TRUE(here.trainer->gradient("x").bytes == there.trainer->gradient("x").bytes) << c.name;
      }
}

}  // namespace
}  // namespace seqgpu::ops
