#include "seqgpu/decode/forced_align.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "seqgpu/decode/greedy.hpp"
#include "seqgpu/error.hpp"
#include "tests/decode/inputs.hpp"

namespace seqgpu::decode {
namespace {

using Labels = std::vector<std::int32_t>;
constexpr float kZero = -std::numeric_limits<float>::infinity();

struct Best {
  double log_prob = kZero;
  Labels path;
};

// The best of all C^T alignments of each label sequence.
std::map<Labels, Best> enumerate(const Batch& batch, std::int32_t blank) {
  const reference::Doubles y = batch.sequence(0);
  std::map<Labels, Best> all;
  Labels path(static_cast<std::size_t>(batch.T), 0);
  do {
    double log_prob = 0;
    for (std::size_t t = 0; t < path.size(); ++t) {
      log_prob += y[t * static_cast<std::size_t>(batch.C) + static_cast<std::size_t>(path[t])];
    }
    Best& best = all[collapse(path, blank)];
    if (log_prob > best.log_prob) best = {log_prob, path};
  } while (next_path(path, batch.C));
  return all;
}

Alignment align_one(const Batch& batch, const Labels& target, const AlignOptions& options = {}) {
  return forced_align(batch.view(), std::vector<Labels>{target}, options)[0];
}

TEST(ForcedAlign, IsTheBestOfAllAlignments) {
  unsigned seed = 0;
  for (const auto& [T, C] : {std::pair{1, 2}, {3, 2}, {4, 3}, {7, 2}, {7, 3}, {6, 4}}) {
    for (std::int32_t blank = 0; blank < C; ++blank) {
      const Batch batch = random_batch(T, 1, C, ++seed);
      for (const auto& [target, best] : enumerate(batch, blank)) {
        const Alignment a = align_one(batch, target, {.blank = blank});
        ASSERT_EQ(a.status, AlignStatus::aligned);
        EXPECT_EQ(a.path, best.path);
        EXPECT_NEAR(a.log_prob, best.log_prob, 1e-9);
        EXPECT_EQ(a.frames_required, reference::ctc_frames_needed({target.begin(), target.end()}));
      }
    }
  }
}

TEST(ForcedAlign, SpansHoldTheLabelsInOrder) {
  const Batch batch = random_batch(60, 1, 7, 3);
  const Labels target = {1, 1, 2, 6, 6, 6, 3};
  const Alignment a = align_one(batch, target);
  ASSERT_EQ(a.labels.size(), target.size());
  EXPECT_EQ(collapse(a.path, 0), target);
  std::int32_t end = 0;
  for (std::size_t u = 0; u < target.size(); ++u) {
    const AlignedLabel& span = a.labels[u];
    EXPECT_EQ(span.label, target[u]);
    EXPECT_LE(end, span.begin);
    ASSERT_LT(span.begin, span.end);
    for (; end < span.begin; ++end) EXPECT_EQ(a.path[static_cast<std::size_t>(end)], 0);
    double sum = 0;
    for (; end < span.end; ++end) {
      EXPECT_EQ(a.path[static_cast<std::size_t>(end)], span.label);
      sum += batch.log_probs[static_cast<std::size_t>(end * 7 + span.label)];
    }
    EXPECT_NEAR(span.mean_log_prob, sum / (span.end - span.begin), 1e-12);
    EXPECT_NEAR(span.confidence, std::exp(span.mean_log_prob), 1e-12);
  }
}

TEST(ForcedAlign, AGreedyPathIsItsOwnAlignment) {
  const Batch batch = random_batch(50, 9, 6, 4);
  const auto best = greedy(batch.view());
  std::vector<Labels> targets;
  for (const auto& h : best) targets.push_back(h.labels);
  const auto aligned = forced_align(batch.view(), targets);
  for (std::size_t n = 0; n < 9; ++n) {
    EXPECT_NEAR(aligned[n].log_prob, best[n].log_prob, 1e-9);
    for (std::size_t u = 0; u < best[n].labels.size(); ++u) {
      EXPECT_EQ(aligned[n].labels[u].begin, best[n].frames[u]);
    }
  }
}

TEST(ForcedAlign, ReportsImpossibleTargets) {
  Batch batch = random_batch(4, 4, 3, 5);
  batch.lengths = {4, 4, 0, 0};
  const auto a = forced_align(batch.view(), std::vector<Labels>{{1, 1, 1}, {1, 2, 1, 2}, {1}, {}});
  EXPECT_EQ(a[0].status, AlignStatus::too_few_frames);
  EXPECT_EQ(a[0].frames_required, 5);
  EXPECT_EQ(a[0].log_prob, kZero);
  EXPECT_TRUE(a[0].path.empty() && a[0].labels.empty());
  EXPECT_EQ(a[1].status, AlignStatus::aligned);
  EXPECT_EQ(a[1].path, (Labels{1, 2, 1, 2}));
  EXPECT_EQ(a[2].status, AlignStatus::too_few_frames);
  EXPECT_EQ(a[3].status, AlignStatus::aligned);
  EXPECT_EQ(a[3].log_prob, 0);
  const Batch silent{3, 1, 2, {-0.1F, kZero, -0.1F, kZero, -0.1F, kZero}, {}};
  EXPECT_EQ(align_one(silent, {1}).status, AlignStatus::zero_probability);
  EXPECT_EQ(align_one(silent, {}).status, AlignStatus::aligned);
  EXPECT_STREQ(to_string(AlignStatus::zero_probability), "zero_probability");
}

TEST(ForcedAlign, ThreadsBatchMatesAndPaddingDoNotMatter) {
  Batch batch = random_batch(30, 12, 5, 6);
  std::vector<Labels> targets;
  for (std::int32_t n = 0; n < 12; ++n) {
    batch.lengths.push_back(8 + 2 * n);
    targets.push_back(Labels(static_cast<std::size_t>(n % 5), 1 + n % 4));
  }
  const auto want = forced_align(batch.view(), targets);
  for (std::int64_t t = 0; t < 30; ++t)
    for (std::int64_t n = 0; n < 12; ++n)
      for (std::int64_t c = 0; c < 5 && t >= batch.lengths[static_cast<std::size_t>(n)]; ++c)
        batch.log_probs[static_cast<std::size_t>((t * 12 + n) * 5 + c)] = std::numeric_limits<float>::quiet_NaN();
  for (const int threads : {0, 2, 3, 20}) EXPECT_EQ(forced_align(batch.view(), targets, {.threads = threads}), want);
  const auto alone = batch.sequence(2);
  const Batch single{12, 1, 5, {alone.begin(), alone.begin() + 60}, {}};
  EXPECT_EQ(align_one(single, targets[2]), want[2]);
}

TEST(ForcedAlign, LongTargets) {
  // Every frame is needed: U labels of one class and the blanks between them.
  for (const std::int32_t U : {1, 2, 31, 32, 33, 640, 1025}) {
    const Batch batch = random_batch(2 * U - 1, 1, 3, 7);
    const Alignment a = align_one(batch, Labels(static_cast<std::size_t>(U), 2));
    ASSERT_EQ(a.status, AlignStatus::aligned);
    for (std::size_t t = 0; t < a.path.size(); ++t) ASSERT_EQ(a.path[t], t % 2 == 0 ? 2 : 0);
  }
}

TEST(ForcedAlign, RefusesBadLabels) {
  const Batch batch = random_batch(4, 2, 3, 8);
  const auto refused = [&](const std::vector<Labels>& targets) {
    try {
      forced_align(batch.view(), targets, {.blank = -1});
      return std::string("nothing refused");
    } catch (const Error& e) {
      return e.argument();
    }
  };
  EXPECT_EQ(refused({{0}, {0, 2}}), "targets[1][1]");
  EXPECT_EQ(refused({{-1}, {0}}), "targets[0][0]");
  EXPECT_EQ(refused({{3}, {0}}), "targets[0][0]");
  EXPECT_EQ(refused({{std::numeric_limits<std::int32_t>::min()}, {0}}), "targets[0][0]");
  EXPECT_EQ(refused({{0}}), "targets");
}

}  // namespace
}  // namespace seqgpu::decode
