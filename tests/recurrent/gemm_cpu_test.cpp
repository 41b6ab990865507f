#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/gemm.hpp"
#include "tests/support/bf16.hpp"
#include "tests/support/serial_parallel.hpp"

// The CPU's matrix product against three loops in double.
namespace seqgpu {
namespace {

using device::cpu::Gemm;

struct Case {
  std::int64_t m, n, k;
  bool a_transposed, b_transposed, bias, accumulate;
  Precision precision = Precision::f32;
};

template <class T>
std::vector<T> run(const Case& c, device::Parallel& parallel, std::vector<double>* want) {
  std::mt19937 random(1);
  std::uniform_real_distribution<double> uniform(-1, 1);
  const auto make = [&](std::int64_t count) {
    std::vector<T> v(static_cast<std::size_t>(count));
    for (T& x : v) x = static_cast<T>(uniform(random));
    return v;
  };
  const std::int64_t row = c.n + 3;
  const auto a = make(c.m * c.k), b = make(c.k * c.n), bias = make(c.n);
  auto out = make(c.m * row);
  Gemm<T> g{.m = c.m, .n = c.n, .k = c.k, .a = a.data(), .b = b.data(), .c = out.data(), .c_row = row};
  g.a_row = c.a_transposed ? 1 : c.k, g.a_col = c.a_transposed ? c.m : 1;
  g.b_row = c.b_transposed ? 1 : c.n, g.b_col = c.b_transposed ? c.k : 1;
  g.bias = c.bias ? bias.data() : nullptr;
  g.accumulate = c.accumulate;
  g.precision = c.precision;
  const auto operand = [&](T x) { return c.precision == Precision::bf16 ? support::to_bf16(x) : double{x}; };
  if (want) want->assign(out.begin(), out.end());
  for (std::int64_t i = 0; want && i < c.m; ++i)
    for (std::int64_t j = 0; j < c.n; ++j) {
      double sum = c.accumulate ? (*want)[i * row + j] : 0;
      if (c.bias) sum += bias[j];
      for (std::int64_t p = 0; p < c.k; ++p)
        sum += operand(a[g.a_row.at(i) + p * g.a_col]) * operand(b[g.b_row.at(p) + j * g.b_col]);
      (*want)[i * row + j] = sum;
    }
  std::vector<std::byte> scratch(device::cpu::gemm_workspace<T>(c.m, c.n, c.k));
  device::cpu::gemm(g, scratch.data(), parallel);
  return out;
}

template <class T>
void expect_correct(const Case& c, double unit) {
  support::SerialParallel serial;
  support::ThreadedParallel threaded(3);
  std::vector<double> want;  // rounding: k sums of up to sqrt(k) / 3, half an ulp each, all one way
  const auto got = run<T>(c, serial, &want);
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], want[i], unit * (16 + 2 * static_cast<double>(c.k)))
        << c.m << "x" << c.n << "x" << c.k << " " << c.a_transposed << c.b_transposed << c.bias << c.accumulate;
  ASSERT_EQ(got, run<T>(c, threaded, nullptr)) << "threads changed bits";
}

class GemmCpu : public testing::TestWithParam<const char*> {};

void for_each_case(const std::function<void(Case)>& visit) {
  for (const std::int64_t m : {1, 5, 48, 101})
    for (const std::int64_t n : {1, 16, 63, 65, 530})
      for (const std::int64_t k : {0, 1, 7, 256, 300})
        for (int bits = 0; bits < 16; ++bits) {
          if (m * n * k > 100000 && bits % 5 != 0) continue;
          visit({m, n, k, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0});
        }
}

TEST_P(GemmCpu, MatchesLoops) {
  if (!device::cpu::set_simd_limit(GetParam())) GTEST_SKIP() << "this processor or build lacks " << GetParam();
  for_each_case([](const Case& c) {
    expect_correct<float>(c, 6e-8);
    expect_correct<double>(c, 1.2e-16);
  });
  device::cpu::set_simd_limit("");
}

// B of more than 1 MiB: one thread takes higher tiles then than three do, the last of them not full.
TEST_P(GemmCpu, LargeBHasTheSameBitsInHighTiles) {
  if (!device::cpu::set_simd_limit(GetParam())) GTEST_SKIP() << "this processor or build lacks " << GetParam();
  for (const bool a_transposed : {false, true})
    for (const std::int64_t m : {144, 301}) {
      const Case c{m, 530, 601, a_transposed, false, true, true};
      expect_correct<float>(c, 6e-8);
      expect_correct<double>(c, 1.2e-16);
    }
  device::cpu::set_simd_limit("");
}

INSTANTIATE_TEST_SUITE_P(Simd, GemmCpu, testing::Values("baseline", "avx2", "avx512"),
                         [](const auto& info) { return std::string(info.param); });

TEST(GemmCpuBf16, MatchesLoopsOverRoundedNumbers) {
  if (!device::cpu::set_simd_limit("avx512bf16")) GTEST_SKIP() << "this processor or build lacks AVX-512 BF16";
  for_each_case([](Case c) {
    c.precision = Precision::bf16;
    expect_correct<float>(c, 6e-8);
    if (c.k == 300) {  // over a block, which is 512 here; odd
      c.k = 601;
      expect_correct<float>(c, 6e-8);
    }
  });
  device::cpu::set_simd_limit("");
}

// Rows in groups, forwards and backwards in memory, are the bits of the same rows side by side; so are some groups of
// columns at a time.
TEST_P(GemmCpu, TakesRowsInGroups) {
  if (!device::cpu::set_simd_limit(GetParam())) GTEST_SKIP() << "this processor or build lacks " << GetParam();
  constexpr std::int64_t m = 301, k = 300, group = 9;
  for (const std::int64_t n : {150, 900}) {  // in high tiles, too
    support::SerialParallel serial;
    std::mt19937 random(1);
    std::uniform_real_distribution<float> uniform(-1, 1);
    std::vector<float> a(m * k), b(k * n), want(m * n);
    for (float& x : a) x = uniform(random);
    for (float& x : b) x = uniform(random);
    Gemm<float> g{
        .m = m, .n = n, .k = k, .a = a.data(), .a_row = k, .b = b.data(), .b_row = n, .c = want.data(), .c_row = n};
    std::vector<std::byte> scratch(device::cpu::gemm_workspace<float>(m, n, k));
    device::cpu::gemm(g, scratch.data(), serial);
    for (const int sign : {1, -1}) {
      // Row i at (i / group)*far + i % group * width, from the first, which is the last group's where far is negative.
      const auto spread = [&](const std::vector<float>& from, std::int64_t rows, std::int64_t width,
                              std::int64_t* first) {
        const std::int64_t groups = (rows + group - 1) / group, far = (group + 2) * width;
        std::vector<float> to(static_cast<std::size_t>(groups * far), 7.f);
        *first = sign > 0 ? 0 : (groups - 1) * far;
        const device::cpu::Rows at(width, group, sign * far);
        for (std::int64_t i = 0; i < rows; ++i)
          std::copy_n(from.begin() + i * width, width, to.begin() + *first + at.at(i));
        return to;
      };
      std::int64_t a_first, b_first, c_first;
      const auto a_spread = spread(a, m, k, &a_first), b_spread = spread(b, k, n, &b_first);
      auto c = spread(std::vector<float>(m * n), m, n, &c_first);
      g.a = a_spread.data() + a_first, g.a_row = {k, group, sign * (group + 2) * k};
      g.b = b_spread.data() + b_first, g.b_row = {n, group, sign * (group + 2) * n};
      g.c = c.data() + c_first, g.c_row = {n, group, sign * (group + 2) * n};
      const std::int64_t columns = device::cpu::gemm_group_columns<float>(Precision::f32);
      const std::int64_t groups = (n + columns - 1) / columns;
      for (const std::int64_t middle : {groups / 2, groups}) {
        for (std::int64_t i = 0; i < groups; ++i) device::cpu::gemm_pack_group(g, i, scratch.data());
        device::cpu::gemm_packed_groups(g, scratch.data(), 0, middle);
        device::cpu::gemm_packed_groups(g, scratch.data(), middle, groups);
        EXPECT_EQ(c, spread(want, m, n, &c_first)) << sign;
      }
    }
  }
  device::cpu::set_simd_limit("");
}

TEST(GemmCpuEmpty, DoesNothing) {
  support::SerialParallel serial;
  device::cpu::gemm(Gemm<float>{}, nullptr, serial);
}

}  // namespace
}  // namespace seqgpu
