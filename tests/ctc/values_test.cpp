#include <gtest/gtest.h>

#include <cstdio>

#include "device/cpu/dispatch.hpp"
#include "tests/ctc/memory.hpp"
#include "tests/ctc/run.hpp"

// CTC on the CPU against the equations in double, closed forms, sums over all paths and published numbers.
namespace seqgpu::ctc {
namespace {

using Reduction = op::CtcDesc::Reduction;

template <class T>
void expect_close(const Problem<T>& p, const std::string& name) {
  const Errors e = errors(p, run(p));
  const double bound = sizeof(T) == 4 ? 5e-6 : 1e-11;
  // The loss: an ulp for each frame's exponential and one for its sum, all one way.
  EXPECT_LE(e.loss, (sizeof(T) == 4 ? 1.2e-7 : 1e-14) * (16 + static_cast<double>(p.desc.T))) << name;
  EXPECT_LE(e.gradient, bound) << name;
  EXPECT_LE(e.posteriors, bound) << name;
  EXPECT_LE(e.alignment, bound) << name;
}

/// Ragged lengths, repeats, every blank position, both entry points, padded and concatenated.
template <class T>
void sweep(std::int64_t U, unsigned seed) {
  for (const bool logs : {false, true}) {
    for (const std::int64_t blank : {0, 2, 4}) {
      Problem<T> p = random_problem<T>(2 * U + 5, 3, 5, U, seed);
      p.desc.from_log_probs = logs;
      p.desc.blank = blank;
      for (auto& label : p.targets) {
        if (label == blank) label = 0;
        if (label == blank) label = 1;
      }
      p.input_lengths = {static_cast<std::int32_t>(p.desc.T), static_cast<std::int32_t>(2 * U + 1),
                         static_cast<std::int32_t>(U / 2)};
      const auto half = static_cast<std::int32_t>(U / 2);
      p.target_lengths = {static_cast<std::int32_t>(U), half, half};
      const std::string name =
          "U " + std::to_string(U) + (logs ? " log_probs" : " logits") + " blank " + std::to_string(blank);
      expect_close(p, name);
      Problem<T> q = p;
      q.desc.concatenated = true;
      q.targets.clear();
      for (std::size_t n = 0; n < 3; ++n) {
        const auto begin = p.targets.begin() + static_cast<std::int64_t>(n) * U;
        q.targets.insert(q.targets.end(), begin, begin + p.target_lengths[n]);
      }
      q.desc.L = static_cast<std::int64_t>(q.targets.size());
      expect_close(q, name + " concatenated");
      EXPECT_EQ(run(q).gradient, run(p).gradient) << name;
    }
  }
}

TEST(Ctc, MatchesEquations) {
  for (const std::int64_t U : {0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129}) {
    sweep<float>(U, 3);
    sweep<double>(U, 4);
  }
}

/// Frames of fewer classes than a pack has lanes, of a few packs, and of many, whole or not; large numbers among them,
/// for which frames of a few packs have a way of their own.
template <class T>
void sweep_classes() {
  for (const char* set : {"baseline", "avx2", "avx512"}) {
    if (!device::cpu::set_simd_limit(set)) continue;
    for (std::int64_t C = 2; C <= 70; ++C) {
      for (const double scale : {1.0, 40.0}) {
        const Problem<T> p = random_problem<T>(9, 4, C, 3, static_cast<unsigned>(C), scale);
        const std::string name = std::string(set) + ", " + std::to_string(C) + " classes, " + std::to_string(scale);
        expect_close(p, name);
        EXPECT_EQ(run_in_place(p).gradient, run(p).gradient) << name;
      }
    }
  }
  device::cpu::set_simd_limit("");
}

TEST(Ctc, MatchesEquationsForEveryNumberOfClasses) {
  sweep_classes<float>();
  sweep_classes<double>();
}

TEST(Ctc, MatchesSumOverPaths) {
  for (unsigned seed = 0; seed < 6; ++seed) {
    for (std::int64_t frames = 0; frames <= 6; ++frames) {
      for (std::int64_t U = 0; U <= 3; ++U) {
        const auto p = random_problem<double>(frames, 1, 3, U, seed * 7 + static_cast<unsigned>(frames));
        const reference::Ints target(p.targets.begin(), p.targets.end());
        const double want = reference::ctc_by_paths(
            reference::ctc_log_softmax(reference::Doubles(p.x.begin(), p.x.end()), 3), frames, 3, target, 0);
        const double got = run(p).per_sequence[0];
        if (std::isinf(want)) {
          EXPECT_EQ(got, want) << frames << " " << U;
        } else {
          EXPECT_NEAR(got, want, 1e-12) << frames << " " << U;
        }
      }
    }
  }
}

// Every path of a uniform input weighs C^-T, and there are binomial(T + U, 2U) of them.
TEST(Ctc, UniformHasClosedForm) {
  for (const std::int64_t U : {0, 1, 3, 10}) {
    auto p = random_problem<float>(100, 1, 12, U, 1);
    std::fill(p.x.begin(), p.x.end(), 0.3f);
    for (std::int64_t u = 0; u < U; ++u) p.targets[static_cast<std::size_t>(u)] = static_cast<std::int32_t>(u + 1);
    const auto n = static_cast<double>(100 + U), k = static_cast<double>(2 * U);
    const double paths = std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
    EXPECT_NEAR(static_cast<double>(run(p).per_sequence[0]), 100 * std::log(12.0) - paths, 1e-4) << U;
  }
}

// Memory for sequences under way is for the longest target, and shared out of what the sum of them gives.
TEST(Ctc, OneLongTargetAmongShortOnes) {
  for (const std::int64_t N : {3, 20, 50}) {
    Problem<float> p;
    p.desc = random_problem<float>(150, N, 5, 0, 4).desc;
    p.x = random_problem<float>(150, N, 5, 0, 4).x;
    p.desc.concatenated = true;
    for (std::int64_t n = 0; n < N; ++n) {
      p.target_lengths.push_back(n == N / 2 ? 70 : static_cast<std::int32_t>(n % 3));
      for (std::int32_t u = 0; u < p.target_lengths.back(); ++u) p.targets.push_back(1 + u % 4);
    }
    p.desc.L = static_cast<std::int64_t>(p.targets.size());
    expect_close(p, std::to_string(N));
    support::ThreadedParallel parallel(3);
    EXPECT_EQ(run(p, parallel).gradient, run(p).gradient) << N;
  }
}

// Halves of no frame, of a part of a block, of whole blocks of either size, and one frame more in the second.
TEST(Ctc, MeetsInTheMiddleOfAnyLength) {
  for (const std::int64_t N : {1, 16}) {
    for (const std::int64_t longest : {70, 300}) {
      Problem<float> p = random_problem<float>(longest, N, 4, 3, 8);
      for (std::int32_t n = 0; n < N; ++n) p.input_lengths.push_back(0);
      for (std::int32_t frames = 0; frames <= longest; frames += frames < 70 ? 1 : 23) {
        for (std::int32_t n = 0; n < N; ++n) {
          p.input_lengths[static_cast<std::size_t>(n)] = static_cast<std::int32_t>((frames + n) % (longest + 1));
        }
        expect_close(p, std::to_string(frames) + " frames of " + std::to_string(longest));
      }
    }
  }
}

struct Accuracy {
  const char* name;
  std::int64_t T, U, C;
  bool uniform;
};

// The cases of which single-precision log space loses 2 to 7 digits, or everything.
TEST(Ctc, StaysAccurateOverLongSequences) {
  const Accuracy cases[] = {{"uniform", 1000, 5, 5, true},    {"uniform", 20000, 5, 5, true},
                            {"random", 150, 40, 28, false},   {"random", 1500, 300, 50, false},
                            {"random", 4000, 1200, 3, false}, {"random", 5000, 600, 64, false}};
  for (const Accuracy& c : cases) {
    auto p = random_problem<float>(c.T, 1, c.C, c.U, 11);
    if (c.uniform) std::fill(p.x.begin(), p.x.end(), 0.f);
    const auto got = run(p, false);
    const Errors e = errors(p, got);
    std::printf("%-7s T %5ld U %4ld C %2ld: gradient error %.2g, loss %.2g relative\n", c.name, long(c.T), long(c.U),
                long(c.C), e.gradient, e.loss);
    EXPECT_LE(e.gradient, 5e-6) << c.name << " " << c.T;
    EXPECT_LE(e.loss, 1e-6) << c.name << " " << c.T;
  }
}

/// One sequence from probabilities.
Problem<float> from_probabilities(std::int64_t frames, std::int64_t C, std::int64_t blank,
                                  const std::vector<double>& probabilities, const Ints32& target) {
  Problem<float> p;
  p.desc.T = frames, p.desc.N = 1, p.desc.C = C, p.desc.L = static_cast<std::int64_t>(target.size());
  p.desc.blank = blank;
  p.desc.reduction = Reduction::none;
  for (const double v : probabilities) p.x.push_back(static_cast<float>(std::log(v)));
  p.targets = target;
  return p;
}

TEST(Ctc, MatchesPublishedNumbers) {
  // TensorFlow's ctc_loss_op_test, which has them from Alex Graves' implementation.
  const std::vector<double> first = {0.633766,  0.221185, 0.0917319, 0.0129757,  0.0142857,  0.0260553,
                                     0.111121,  0.588392, 0.278779,  0.0055756,  0.00569609, 0.010436,
                                     0.0357786, 0.633813, 0.321418,  0.00249248, 0.00272882, 0.0037688,
                                     0.0663296, 0.643849, 0.280111,  0.00283995, 0.0035545,  0.00331533,
                                     0.458235,  0.396634, 0.123377,  0.00648837, 0.00903441, 0.00623107};
  const std::vector<double> second = {
      0.30176,   0.28562,   0.0831517, 0.0862751, 0.0816851, 0.161508, 0.24082,   0.397533,  0.0557226, 0.0546814,
      0.0557528, 0.19549,   0.230246,  0.450868,  0.0389607, 0.038309, 0.0391602, 0.202456,  0.280884,  0.429522,
      0.0326593, 0.0339046, 0.0326856, 0.190345,  0.423286,  0.315517, 0.0338439, 0.0393744, 0.0339315, 0.154046};
  EXPECT_NEAR(run(from_probabilities(5, 6, 5, first, {0, 1, 2, 1, 0})).loss[0], 3.34211f, 2e-5);
  EXPECT_NEAR(run(from_probabilities(5, 6, 5, second, {0, 1, 1, 0})).loss[0], 5.42262f, 2e-5);
  // warp-ctc's test_cpu, "small": two frames, two labels, one path. Its 2.46286 is for activations of these sizes.
  auto small = from_probabilities(2, 5, 0, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 2});
  small.x = {0.1f, 0.6f, 0.1f, 0.1f, 0.1f, 0.1f, 0.1f, 0.6f, 0.1f, 0.1f};
  EXPECT_NEAR(run(small).loss[0], 2.46286f, 1e-5);
  // The same for Torch, and k2's: what counts is within a frame.
  auto ramp = from_probabilities(3, 5, 0, std::vector<double>(15, 1), {3, 3});
  for (std::size_t i = 0; i < 15; ++i) ramp.x[i] = static_cast<float>(i + 1);
  EXPECT_NEAR(run(ramp).loss[0], 7.3557429f, 2e-6);
  ramp.targets = {2, 3};
  for (std::size_t i = 0; i < 15; ++i) ramp.x[i] = static_cast<float>(i % 5) - 5.f * static_cast<float>(1 + i / 5);
  EXPECT_NEAR(run(ramp).loss[0], 4.9388504f, 2e-6);
  // One uniform frame of 5 classes, one label.
  EXPECT_NEAR(run(from_probabilities(1, 5, 0, {1, 1, 1, 1, 1}, {1})).loss[0], 1.6094379f, 1e-6);
}

// warp-ctc's inf_test and what saturates elsewhere.
TEST(Ctc, ExtremeInputs) {
  auto p = random_problem<float>(50, 1, 15, 10, 2);
  for (std::size_t t = 0; t < 50; ++t) p.x[t * 15 + static_cast<std::size_t>(p.targets[0])] = -1e30f;
  auto got = run(p);
  EXPECT_TRUE(std::isinf(got.loss[0]) && got.loss[0] > 0);
  EXPECT_EQ(got.status[0], 0);
  for (const float g : got.gradient) EXPECT_EQ(g, 0.f);

  // A certain path: 0 up to a rounding, and never below.
  p = random_problem<float>(4, 1, 3, 2, 2);
  p.targets = {1, 2};
  p.x.assign(12, -200.f);
  for (const std::size_t i : {1u, 3u, 8u, 9u}) p.x[i] = 200.f;  // 1 - 2 -
  got = run(p);
  EXPECT_GE(got.loss[0], 0.f);
  EXPECT_LE(got.loss[0], 1e-6f);
  for (const float g : got.gradient) EXPECT_LE(std::abs(g), 1e-36f);

  // Low temperature: neighbours e^336 apart.
  auto cold = random_problem<float>(60, 2, 8, 12, 5, 100);
  EXPECT_LE(errors(cold, run(cold)).gradient, 5e-6);
  // A constant per frame changes nothing but rounding, however large it is.
  auto shifted = random_problem<float>(40, 1, 6, 9, 6);
  for (float& v : shifted.x) v = std::round(v * 8) / 8 + 4096;
  auto level = shifted;
  for (float& v : level.x) v -= 4096;
  const auto a = run(shifted), b = run(level);
  for (std::size_t i = 0; i < a.gradient.size(); ++i) EXPECT_NEAR(a.gradient[i], b.gradient[i], 1e-6);
  EXPECT_NEAR(a.loss[0], b.loss[0], 1e-4);

  // Large ones all, with labels that repeat: exponents stay in range.
  for (const float offset : {-60.f, 60.f}) {
    auto high = random_problem<float>(60, 3, 3, 12, 8);
    for (float& v : high.x) v += offset;
    EXPECT_LE(errors(high, run(high)).gradient, 5e-6) << offset;
  }

  // No number: neither is the loss, but only that of its own sequence.
  auto bad = random_problem<float>(20, 2, 6, 4, 7);
  bad.x[7 * 12 + 3] = std::nanf("");
  const auto poisoned = run(bad);
  EXPECT_TRUE(std::isnan(poisoned.loss[0]));
  EXPECT_TRUE(std::isnan(poisoned.gradient[0]));
  EXPECT_TRUE(std::isfinite(poisoned.loss[1]));
}

/// Nearly learnt: one class stands out of each frame, the labels far apart with many blanks between.
TEST(Ctc, SharpFrames) {
  for (const float height : {6.f, 10.f, 15.f, 40.f}) {
    for (const std::int64_t U : {1, 5, 13}) {
      for (const std::int64_t C : {7, 40}) {
        const std::int64_t T = 160, N = 2, apart = T / (U + 1);
        auto p = random_problem<float>(T, N, C, U, 3);
        for (std::int64_t r = 0; r < T * N; ++r) {
          const std::int64_t t = r / N, n = r % N, u = t / apart - 1;
          const bool label = t % apart == 0 && u >= 0 && u < U;
          const std::int64_t stands_out = label ? p.targets[static_cast<std::size_t>(n * U + u)] : p.desc.blank;
          p.x[static_cast<std::size_t>(r * C + stands_out)] += height;
        }
        expect_close(p, "height " + std::to_string(height) + " U " + std::to_string(U) + " C " + std::to_string(C));
      }
    }
  }
}

TEST(Ctc, MemoryIsAtMostHalfOfTwoTables) { expect_memory_at_most_half_of_two_tables(device::cpu::table()); }

}  // namespace
}  // namespace seqgpu::ctc
