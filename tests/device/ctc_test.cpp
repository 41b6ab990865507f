#include <algorithm>
#include <cstdio>
#include <functional>

#include "seqgpu/error.hpp"
#include "tests/ctc/memory.hpp"
#include "tests/device/ctc_run.hpp"

// CTC on the device under test: values and gradients against the equations in double, sizes around every edge, and what
// must not change a bit.
namespace seqgpu::ctc {
namespace {

using Impossible = op::CtcDesc::Impossible;
using Reduction = op::CtcDesc::Reduction;

void expect_close(const Problem<float>& p, const std::string& name) {
  const Errors e = errors(p, run_here(p));
  // The loss: an ulp for each frame's exponential and one for its sum, all one way.
  EXPECT_LE(e.loss, 1.2e-7 * (16 + static_cast<double>(p.desc.T))) << name;
  EXPECT_LE(e.gradient, 5e-6) << name;
  EXPECT_LE(e.posteriors, 5e-6) << name;
  EXPECT_LE(e.alignment, 5e-6) << name;
}

/// Three sequences: as long as can be, as short as may be possible, and impossible or empty.
Problem<float> ragged(std::int64_t U, std::int64_t C, unsigned seed) {
  Problem<float> p = random_problem<float>(2 * U + 3, 3, C, U, seed);
  const auto half = static_cast<std::int32_t>(U / 2);
  p.input_lengths = {static_cast<std::int32_t>(p.desc.T), static_cast<std::int32_t>(U + 1), half};
  p.target_lengths = {static_cast<std::int32_t>(U), half, half};
  return p;
}

std::string name_of(const Problem<float>& p) {
  const op::CtcDesc& d = p.desc;
  return "T " + std::to_string(d.T) + " N " + std::to_string(d.N) + " C " + std::to_string(d.C) + " L " +
         std::to_string(d.L) + (d.from_log_probs ? " log_probs" : " logits");
}

TEST(DeviceCtc, MatchesEquationsForEveryTargetLength) {
  for (const std::int64_t U : {0, 1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129}) {
    Problem<float> p = ragged(U, 5, 3);  // few classes: many repeats, next to each other and not
    p.desc.from_log_probs = U % 2 == 0;
    expect_close(p, name_of(p));
  }
}

TEST(DeviceCtc, MatchesEquationsForEveryBlankAndLayout) {
  for (const bool logs : {false, true}) {
    for (const std::int64_t blank : {0, 2, 4}) {
      Problem<float> p = ragged(9, 5, 6);
      p.desc.from_log_probs = logs;
      p.desc.blank = blank;
      for (auto& label : p.targets) label = label == blank ? (blank + 1) % 5 : label;
      expect_close(p, name_of(p));
      const Problem<float> q = concatenated(p);
      expect_close(q, name_of(q) + " concatenated");
      EXPECT_EQ(run_here(q).gradient, run_here(p).gradient) << name_of(p);
    }
  }
}

TEST(DeviceCtc, MatchesEquationsForEverySizeOfBatch) {
  for (std::int64_t C = 1; C <= 70; C += C < 5 || (C > 30 && C < 34) ? 1 : 6) {  // 1 to 5, 31 to 34, and between
    const Problem<float> p = random_problem<float>(7, 2, std::max<std::int64_t>(C, 2), C == 1 ? 0 : 2, 4);
    expect_close(p, name_of(p));
  }
  for (const std::int64_t C : {1000, 1100}) {  // a warp for each frame, and a block
    const Problem<float> p = random_problem<float>(4, 2, C, 2, 4);
    expect_close(p, name_of(p));
  }
  for (const std::int64_t frames : {0, 1, 2, 20}) {
    for (const std::int64_t N : {0, 1, 3, 9}) {
      for (const std::int64_t U : {0, 1, 4}) {
        const Problem<float> p = random_problem<float>(frames, N, 6, U, 8);
        expect_close(p, name_of(p));
      }
    }
  }
  const Problem<float> single = random_problem<float>(5, 2, 1, 0, 1);  // nothing but the blank: certain
  for (const float loss : run_here(single).loss) EXPECT_TRUE(loss >= 0 && loss < 1e-6f) << loss;
}

struct Accuracy {
  const char* name;
  std::int64_t T, U, C;
  bool uniform;
};

void expect_accurate(const std::vector<Accuracy>& cases) {
  for (const Accuracy& c : cases) {
    Problem<float> p = random_problem<float>(c.T, 1, c.C, c.U, 11);
    if (c.uniform) std::fill(p.x.begin(), p.x.end(), 0.f);
    const Errors e = errors(p, run_here(p, {.states = false}));
    std::printf("%-7s T %5ld U %4ld C %2ld: gradient error %.2g, loss %.2g relative\n", c.name, long(c.T), long(c.U),
                long(c.C), e.gradient, e.loss);
    EXPECT_LE(e.gradient, 5e-6) << c.name << " " << c.T;
    EXPECT_LE(e.loss, 1e-6) << c.name << " " << c.T;
  }
}

TEST(DeviceCtc, StaysAccurateOverLongSequences) {
  expect_accurate({{"uniform", 1000, 5, 5, true},
                   {"uniform", 3000, 5, 5, true},
                   {"random", 150, 40, 28, false},
                   {"random", 300, 60, 50, false},
                   {"random", 400, 150, 3, false},
                   {"random", 500, 60, 64, false}});
}

TEST(DeviceCtc, StaysAccurateOverTheLongestSequences) {
  if (on_emulated_gpu()) GTEST_SKIP() << "takes half a minute on the emulator, where the test above stands for it";
  if (device_under_test().kind() == DeviceKind::cpu) GTEST_SKIP() << "tests/ctc does it on the CPU";
  expect_accurate({{"uniform", 1000, 5, 5, true},
                   {"uniform", 20000, 5, 5, true},
                   {"random", 150, 40, 28, false},
                   {"random", 1500, 300, 50, false},
                   {"random", 4000, 1200, 3, false},
                   {"random", 5000, 600, 64, false}});
}

/// Bits of sequence n; frames past its length must be exactly 0.
std::vector<float> bits_of(const Problem<float>& p, const Result<float>& r, std::size_t n) {
  std::vector<float> v = {r.loss[n], r.per_sequence[n], static_cast<float>(r.status[n])};
  const auto C = static_cast<std::size_t>(p.desc.C), N = static_cast<std::size_t>(p.desc.N);
  for (std::size_t t = 0; t < static_cast<std::size_t>(p.desc.T); ++t) {
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t i = (t * N + n) * C + c;
      if (static_cast<std::int32_t>(t) < p.input_lengths[n]) {
        v.push_back(r.gradient[i]);
        v.push_back(r.posteriors[i]);
      } else {
        EXPECT_EQ(r.gradient[i], 0.f);
        EXPECT_EQ(r.posteriors[i], 0.f);
      }
    }
  }
  return v;
}

TEST(DeviceCtc, NeighboursAndPaddingChangeNoBit) {
  Problem<float> p = random_problem<float>(75, 6, 9, 20, 5, 2);
  p.input_lengths = {75, 64, 63, 0, 41, 8};
  p.target_lengths = {20, 13, 20, 2, 0, 3};
  const Result<float> want = run_here(p);
  EXPECT_EQ(run_here(p).gradient, want.gradient);
  // A little padding; so much that more threads take part; so much that frames are read by a launch of their own.
  for (const std::int64_t more : {0, 1, 40, 1900}) {
    const Problem<float> q = rearranged(p, {5, 4, 3, 2, 1, 0}, more);
    const Result<float> got = run_here(q);
    for (std::size_t n = 0; n < 6; ++n) EXPECT_EQ(bits_of(q, got, 5 - n), bits_of(p, want, n)) << n << " " << more;
  }
  for (const std::size_t n : {0u, 1u, 4u}) {
    const Problem<float> single = rearranged(p, {n}, 3);
    EXPECT_EQ(bits_of(single, run_here(single), 0), bits_of(p, want, n)) << n << " alone";
  }
}

TEST(DeviceCtc, LossWithoutPosteriorsIsTheSame) {
  const Problem<float> p = ragged(17, 6, 2), q = ragged(140, 6, 2);
  for (const Problem<float>& each : {p, q}) {
    const Result<float> want = run_here(each);
    EXPECT_EQ(run_here(each, {.training = false, .states = false}).loss, want.loss);
    const Result<float> states = run_here(each, {.training = false, .states = true});
    EXPECT_EQ(states.loss, want.loss);
    EXPECT_EQ(states.posteriors, want.posteriors);
    EXPECT_EQ(states.alignment, want.alignment);
    EXPECT_EQ(run_here(each, {.states = false}).gradient, want.gradient);
    const Result<float> over = run_here(each, {.in_place = true});
    EXPECT_EQ(over.gradient, want.gradient);
  }
}

/// As the CPU has it, for problems whose numbers are infinite or none in places.
void expect_like_cpu(const Problem<float>& p, const std::string& name) {
  const Result<float> want = run(p), got = run_here(p);
  const auto compare = [&](const std::vector<float>& a, const std::vector<float>& b, const char* what, double bound) {
    ASSERT_EQ(a.size(), b.size());
    for (std::size_t i = 0; i < a.size(); ++i) {
      if (std::isnan(b[i]) ? std::isnan(a[i]) : a[i] == b[i]) continue;
      ASSERT_NEAR(a[i], b[i], bound * std::max(1.f, std::abs(b[i]))) << name << ": " << what << " " << i;
    }
  };
  EXPECT_EQ(got.status, want.status) << name;
  compare(got.loss, want.loss, "loss", 1e-6);
  compare(got.per_sequence, want.per_sequence, "per sequence", 1e-6);
  compare(got.gradient, want.gradient, "gradient", 5e-6);
  compare(got.posteriors, want.posteriors, "posteriors", 5e-6);
  compare(got.alignment, want.alignment, "alignment", 5e-6);
}

TEST(DeviceCtc, ExtremeInputsAreAsOnTheCpu) {
  Problem<float> p = random_problem<float>(30, 3, 7, 6, 2);
  for (std::size_t t = 0; t < 30; ++t) p.x[t * 21 + static_cast<std::size_t>(p.targets[0])] = -1e30f;
  expect_like_cpu(p, "a label that never comes");
  for (const float bad : {-HUGE_VALF, HUGE_VALF, std::nanf("")}) {
    for (const bool logs : {false, true}) {
      Problem<float> q = random_problem<float>(13, 3, 6, 4, 7);
      q.desc.from_log_probs = logs;
      q.x[7 * 18 + 3] = bad;                                           // one class
      q.x[5 * 18 + 6 + static_cast<std::size_t>(q.targets[4])] = bad;  // a label of the second sequence
      expect_like_cpu(q, "one logit " + std::to_string(bad));
      std::fill_n(q.x.begin() + 4 * 18 + 12, 6, bad);  // a frame of the third
      expect_like_cpu(q, "a frame " + std::to_string(bad));
      q.weights = {1, 0, 0};
      expect_like_cpu(q, "weights of 0 beside " + std::to_string(bad));
    }
  }
  const Problem<float> cold = random_problem<float>(60, 2, 8, 12, 5, 100);  // neighbours e^336 apart
  EXPECT_LE(errors(cold, run_here(cold)).gradient, 5e-6);
  Problem<float> far = random_problem<float>(40, 1, 6, 9, 6);
  for (float& v : far.x) v = std::round(v * 8) / 8 + 4096;
  expect_like_cpu(far, "far from 0");
  Problem<float> certain = random_problem<float>(4, 1, 3, 2, 2);
  certain.targets = {1, 2};
  certain.x.assign(12, -200.f);
  for (const std::size_t i : {1u, 3u, 8u, 9u}) certain.x[i] = 200.f;  // 1 - 2 -
  const Result<float> sure = run_here(certain);
  EXPECT_GE(sure.loss[0], 0.f);
  EXPECT_LE(sure.loss[0], 1e-6f);
  for (const float g : sure.gradient) EXPECT_LE(std::abs(g), 1e-36f);
}

TEST(DeviceCtc, WeightsReductionsAndPoliciesAreAsOnTheCpu) {
  Problem<float> p = random_problem<float>(14, 5, 5, 6, 9);
  p.input_lengths = {14, 9, 2, 14, 0};
  p.target_lengths = {6, 3, 5, 0, 0};
  for (const Reduction reduction : {Reduction::none, Reduction::sum, Reduction::mean_by_target,
                                    Reduction::mean_by_batch, Reduction::mean_by_frames, Reduction::mean_by_tokens}) {
    for (const Impossible impossible : {Impossible::infinite, Impossible::zero}) {
      p.desc.reduction = reduction;
      p.desc.impossible = impossible;
      p.weights = {0.5f, 2.f, 3.f, 0.f, 1.f};
      p.d_loss.assign(reduction == Reduction::none ? 5 : 1, 0.f);
      for (std::size_t i = 0; i < p.d_loss.size(); ++i) p.d_loss[i] = 1.5f - static_cast<float>(i);
      expect_like_cpu(p, "reduction " + std::to_string(static_cast<int>(reduction)));
      p.weights.clear();
      expect_like_cpu(p, "unweighted reduction " + std::to_string(static_cast<int>(reduction)));
    }
  }
}

std::string refusal(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.what();
  }
  return "nothing thrown";
}

TEST(DeviceCtc, IllegalContentIsRefusedInTheWordsOfTheCpu) {
  std::vector<Problem<float>> bad;
  const auto add = [&](const std::function<void(Problem<float>&)>& spoil) {
    Problem<float> p = random_problem<float>(9, 3, 4, 3, 1);
    p.input_lengths = {9, 5, 7};
    p.target_lengths = {3, 2, 3};
    p.targets[7] = p.targets[8] = 2;  // the third needs 4 frames
    spoil(p);
    bad.push_back(p);
  };
  constexpr auto kLeast = std::numeric_limits<std::int32_t>::min(), kMost = std::numeric_limits<std::int32_t>::max();
  for (const std::int32_t length : {-1, 10, kLeast, kMost}) {
    add([=](auto& p) { p.input_lengths[1] = length; });
    add([=](auto& p) { p.target_lengths[2] = length; });
    add([=](auto& p) { p = concatenated(p), p.target_lengths[2] = length; });
  }
  for (const std::int32_t label : {-1, 4, 0, kLeast, kMost}) {
    add([=](auto& p) { p.targets[4] = p.targets[6] = label; });
    add([=](auto& p) { p = concatenated(p), p.targets[4] = label; });
    add([=](auto& p) { p.targets[2] = label, p.input_lengths[0] = 99, p.desc.from_log_probs = true; });
    add([=](auto& p) { p.targets[2] = label, p.input_lengths[1] = 99; });
  }
  add([](auto& p) { p = concatenated(p), p.target_lengths = {3, 3, 3}; });
  add([](auto& p) { p = concatenated(p), p.target_lengths = {3, 1, 3}; });
  add([](auto& p) { p.desc.impossible = Impossible::error, p.input_lengths = {9, 5, 3}; });
  add([](auto& p) { p.desc.impossible = Impossible::error, p.input_lengths = {9, 1, 3}; });
  for (const Problem<float>& p : bad) {
    const std::string want = refusal([&] { run(p); });
    EXPECT_NE(want, "nothing thrown");
    EXPECT_EQ(refusal([&] { run_here(p); }), want);
  }
  Problem<float> padded = random_problem<float>(9, 2, 4, 3, 1);  // padding may hold anything
  padded.target_lengths = {2, 0};
  padded.targets = {1, 2, -7, 99, kLeast, kMost};
  EXPECT_EQ(refusal([&] { run_here(padded); }), "nothing thrown");
}

TEST(DeviceCtc, MemoryIsAtMostHalfOfTwoTables) {
  expect_memory_at_most_half_of_two_tables(device_under_test().backend().table());
}

}  // namespace
}  // namespace seqgpu::ctc
