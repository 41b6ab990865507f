#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "device/cpu/dispatch.hpp"
#include "seqgpu/error.hpp"
#include "tests/ctc/run.hpp"

// What must not change a bit: the neighbours in the batch, padding, garbage, threads. And what the equations keep.
namespace seqgpu::ctc {
namespace {

/// Sequences [N] of p in another order, or a part of them, with more padding, all of it garbage.
template <class T>
Problem<T> rearranged(const Problem<T>& p, const std::vector<std::size_t>& order, std::int64_t more) {
  Problem<T> q;
  q.desc = p.desc;
  q.desc.N = static_cast<std::int64_t>(order.size());
  q.desc.T += more;
  q.desc.L += more;
  const auto C = static_cast<std::size_t>(p.desc.C), L = static_cast<std::size_t>(p.desc.L);
  const auto N = static_cast<std::size_t>(p.desc.N);
  const T garbage[] = {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(), T(7)};
  for (std::int64_t t = 0; t < q.desc.T; ++t) {
    for (const std::size_t n : order) {
      for (std::size_t c = 0; c < C; ++c) {
        const bool valid = t < p.input_lengths[n];
        q.x.push_back(valid ? p.x[(static_cast<std::size_t>(t) * N + n) * C + c] : garbage[c % 3]);
      }
    }
  }
  for (const std::size_t n : order) {
    for (std::int64_t u = 0; u < q.desc.L; ++u) {
      const bool valid = u < p.target_lengths[n];
      q.targets.push_back(valid ? p.targets[n * L + static_cast<std::size_t>(u)] : -12345);
    }
    q.target_lengths.push_back(p.target_lengths[n]);
    q.input_lengths.push_back(p.input_lengths[n]);
  }
  return q;
}

template <class T>
Problem<T> ragged_problem(std::int64_t classes = 9) {
  Problem<T> p = random_problem<T>(150, 11, classes, 20, 5, 2);
  for (std::int32_t n = 0; n < 11; ++n) {
    p.input_lengths.push_back(n == 3 ? 0 : 150 - 13 * n);
    p.target_lengths.push_back(n == 4 ? 0 : n == 5 ? 20 : 2 * n);
  }
  return p;
}

/// Bits of sequence n: loss, gradient, posteriors; frames past its length must be exactly 0.
template <class T>
std::vector<T> bits_of(const Problem<T>& p, const Result<T>& r, std::size_t n) {
  std::vector<T> v = {r.loss[n], r.per_sequence[n], static_cast<T>(r.status[n])};
  const auto C = static_cast<std::size_t>(p.desc.C), N = static_cast<std::size_t>(p.desc.N);
  for (std::size_t t = 0; t < static_cast<std::size_t>(p.desc.T); ++t) {
    for (std::size_t c = 0; c < C; ++c) {
      const std::size_t i = (t * N + n) * C + c;
      if (static_cast<std::int32_t>(t) < p.input_lengths[n]) {
        v.push_back(r.gradient[i]);
        v.push_back(r.posteriors[i]);
      } else {
        EXPECT_EQ(r.gradient[i], T(0));
        EXPECT_EQ(r.posteriors[i], T(0));
      }
    }
  }
  return v;
}

template <class T>
void expect_same_bits(std::int64_t classes) {
  const Problem<T> p = ragged_problem<T>(classes);
  std::vector<std::size_t> order(11);
  std::iota(order.begin(), order.end(), std::size_t{0});
  const Result<T> want = run(p);
  std::reverse(order.begin(), order.end());
  for (const std::int64_t more : {0, 1, 40, 150}) {  // 150: blocks of another size
    const Problem<T> q = rearranged(p, order, more);
    const Result<T> got = run(q);
    for (std::size_t n = 0; n < 11; ++n) EXPECT_EQ(bits_of(q, got, 10 - n), bits_of(p, want, n)) << n << " " << more;
    for (std::size_t n = 0; n < 11; ++n) {  // alone: its halves are walked apart
      const Problem<T> single = rearranged(p, {n}, more);
      EXPECT_EQ(bits_of(single, run(single), 0), bits_of(p, want, n)) << n << " alone " << more;
    }
  }
  // So many that halves are walked in turn, and memory for them is used again.
  std::vector<std::size_t> often;
  for (std::size_t i = 0; i < 40; ++i) often.push_back(i * 7 % 11);
  const Problem<T> many = rearranged(p, often, 1);
  const Result<T> of_many = run(many);
  for (std::size_t i = 0; i < 40; ++i)
    EXPECT_EQ(bits_of(many, of_many, i), bits_of(p, want, often[i])) << i << " of 40";
  for (const int threads : {2, 3}) {
    support::ThreadedParallel parallel(threads);
    const Result<T> got = run(p, parallel);
    EXPECT_EQ(run(many, parallel).gradient, of_many.gradient);
    EXPECT_EQ(got.gradient, want.gradient);
    EXPECT_EQ(got.loss, want.loss);
    const Problem<T> few = rearranged(p, {0, 1}, 0);
    EXPECT_EQ(run(few, parallel).gradient, run(few).gradient);
  }
}

TEST(CtcInvariance, BatchPaddingGarbageAndThreads) {
  for (const std::int64_t classes : {9, 50, 70}) {  // short frames, of one and of some packs, and long ones
    expect_same_bits<float>(classes);
    expect_same_bits<double>(classes);
  }
}

TEST(CtcInvariance, InstructionSets) {
  const Problem<float> p = ragged_problem<float>();
  for (const char* name : {"baseline", "avx2", "avx512"}) {
    if (!device::cpu::set_simd_limit(name)) continue;
    const Errors e = errors(p, run(p));
    EXPECT_LE(std::max({e.gradient, e.posteriors, e.alignment}), 5e-6) << name;
    EXPECT_LE(e.loss, 1e-6) << name;
  }
  device::cpu::set_simd_limit("");
}

void expect_refused(const Problem<float>& p, const std::string& what) {
  try {
    run(p);
    ADD_FAILURE() << "nothing thrown, expected: " << what;
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_EQ(std::string(e.what()), what);
  }
}

TEST(CtcInvariance, IllegalLengths) {
  auto p = random_problem<float>(5, 2, 4, 3, 1);
  p.input_lengths = {5, 6};
  expect_refused(p, "ctc_loss: input_lengths[1] must be in [0, T], got 6 with T=5");
  p.input_lengths = {5, -1};
  expect_refused(p, "ctc_loss: input_lengths[1] must be in [0, T], got -1 with T=5");
  p.input_lengths.clear();
  p.target_lengths = {4, 3};
  expect_refused(p, "ctc_loss: target_lengths[0] must be in [0, L], got 4 with L=3");
  p.desc.concatenated = true;
  p.desc.L = 6;
  expect_refused(p, "ctc_loss: target_lengths must sum to the 6 elements of targets, got 7 up to sequence 1");
  p.target_lengths = {2, 3};
  expect_refused(p, "ctc_loss: target_lengths must sum to the 6 elements of targets, got 5");
  p.target_lengths = {3, 3};
  p.targets[4] = 7;
  p.desc.from_log_probs = true;
  expect_refused(
      p, "ctc_loss_from_log_probs: targets[4] must be in [0, 4) and not the blank 0, got 7: label 1 of sequence 1");
}

TEST(CtcInvariance, EmptyBatches) {
  for (const std::int64_t frames : {0, 3}) {
    for (const std::int64_t N : {0, 2}) {
      for (const auto reduction : {op::CtcDesc::Reduction::none, op::CtcDesc::Reduction::mean_by_target,
                                   op::CtcDesc::Reduction::mean_by_tokens}) {
        auto p = random_problem<float>(frames, N, 4, 0, 1);
        p.desc.reduction = reduction;
        const auto got = run(p);
        for (const float v : got.loss) EXPECT_TRUE(frames * N > 0 ? v > 0 : v == 0) << frames << " " << N;
        for (const float v : got.gradient) EXPECT_TRUE(std::isfinite(v));
      }
    }
  }
}

TEST(CtcInvariance, WeightsAndReductions) {
  using Reduction = op::CtcDesc::Reduction;
  Problem<double> p = ragged_problem<double>();
  p.desc.impossible = op::CtcDesc::Impossible::zero;
  for (std::size_t n = 0; n < 11; ++n) p.weights.push_back(n == 7 ? 0 : 0.5 + static_cast<double>(n));
  p.x[7 * 9] = std::numeric_limits<double>::quiet_NaN();  // weight 0: no part in the loss
  double frames = 0, tokens = 0, by_target = 0, sum = 0;
  const auto each = run(p);
  for (std::size_t n = 0; n < 11; ++n) {
    const bool impossible = each.status[n] != 0;
    EXPECT_DOUBLE_EQ(each.loss[n], impossible || n == 7 ? 0 : p.weights[n] * each.per_sequence[n]) << n;
    frames += p.input_lengths[n];
    tokens += p.target_lengths[n];
    sum += each.loss[n];
    by_target += each.loss[n] / std::max(1, p.target_lengths[n]);
  }
  const std::pair<Reduction, double> wants[] = {{Reduction::sum, sum},
                                                {Reduction::mean_by_target, by_target / 11},
                                                {Reduction::mean_by_batch, sum / 11},
                                                {Reduction::mean_by_frames, sum / frames},
                                                {Reduction::mean_by_tokens, sum / tokens}};
  for (const auto& [reduction, want] : wants) {
    p.desc.reduction = reduction;
    const auto got = run(p);
    EXPECT_NEAR(got.loss[0], want, 1e-12 * want);
    for (const double g : got.gradient) EXPECT_TRUE(std::isfinite(g));
  }
}

// Frames and labels backwards leave the loss; classes permuted permute the gradient; its rows sum to 0.
TEST(CtcInvariance, Symmetries) {
  const auto p = random_problem<double>(40, 1, 6, 8, 9);
  auto reversed = p;
  for (std::size_t t = 0; t < 40; ++t)
    std::copy_n(p.x.begin() + static_cast<long>(t * 6), 6, reversed.x.begin() + static_cast<long>((39 - t) * 6));
  std::reverse(reversed.targets.begin(), reversed.targets.end());
  EXPECT_NEAR(run(reversed).loss[0], run(p).loss[0], 1e-11);
  auto permuted = p;
  permuted.desc.blank = 5;
  for (std::size_t t = 0; t < 40; ++t) {
    for (std::size_t c = 0; c < 6; ++c) permuted.x[t * 6 + (c + 5) % 6] = p.x[t * 6 + c];
  }
  for (auto& label : permuted.targets) label -= 1;
  const auto a = run(p), b = run(permuted);
  EXPECT_NEAR(a.loss[0], b.loss[0], 1e-11);
  for (std::size_t t = 0; t < 40; ++t) {
    double sum = 0;
    for (std::size_t c = 0; c < 6; ++c) {
      EXPECT_NEAR(a.gradient[t * 6 + c], b.gradient[t * 6 + (c + 5) % 6], 1e-13);
      sum += a.gradient[t * 6 + c];
    }
    EXPECT_NEAR(sum, 0, 1e-13);
  }
}

}  // namespace
}  // namespace seqgpu::ctc
