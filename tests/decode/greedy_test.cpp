#include "seqgpu/decode/greedy.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <string>

#include "seqgpu/error.hpp"
#include "tests/decode/inputs.hpp"

namespace seqgpu::decode {
namespace {

using Labels = std::vector<std::int32_t>;

const std::vector<std::string> kSounds = {"_", "hao", "bang"};

// Frames that say each label with certainty.
Batch say(const Labels& path, std::int64_t C) {
  Batch batch{static_cast<std::int64_t>(path.size()), 1, C, {}, {}};
  for (const auto label : path)
    for (std::int64_t c = 0; c < C; ++c) batch.log_probs.push_back(c == label ? -0.1F : -5.F);
  return batch;
}

std::string words(const Labels& labels) {
  std::string text;
  for (const auto label : labels) text += (text.empty() ? "" : " ") + kSounds[static_cast<std::size_t>(label)];
  return text;
}

TEST(Greedy, TrimmingCannotSayAWordTwice) {
  // "haohaohaobangbangbang": whether one "bang" or two were said is lost.
  EXPECT_EQ(words(greedy_trimmed(say({1, 1, 1, 2, 2, 2}, 3).view())[0].labels), "hao bang");
  EXPECT_EQ(words(collapse(Labels{1, 1, 1, 2, 2, 2})), "hao bang");
  Labels path(6);
  do {
    const Labels labels = collapse(path);
    for (std::size_t u = 1; u < labels.size(); ++u) ASSERT_NE(labels[u], labels[u - 1]);
  } while (next_path(path, 3));
}

TEST(Greedy, ABlankBetweenLetsBothComeOut) {
  EXPECT_EQ(words(greedy(say({1, 1, 1, 2, 2, 2}, 3).view())[0].labels), "hao bang");
  EXPECT_EQ(words(greedy(say({1, 1, 1, 2, 0, 2}, 3).view())[0].labels), "hao bang bang");
  EXPECT_EQ(words(greedy(say({1, 0, 0, 2, 2, 0}, 3).view())[0].labels), "hao bang");
}

TEST(Greedy, TellsWhereEachLabelBegins) {
  const Hypothesis h = greedy(say({0, 1, 1, 0, 1, 2}, 3).view())[0];
  EXPECT_EQ(h.labels, (Labels{1, 1, 2}));
  EXPECT_EQ(h.frames, (Labels{1, 4, 5}));
  EXPECT_EQ(h.log_probs, std::vector<double>(3, -0.1F));
  EXPECT_NEAR(h.log_prob, -0.6, 1e-6);
  EXPECT_EQ(h.score, h.log_prob);
}

TEST(Greedy, TakesTheLowestOfEquals) {
  // Keras' nn_test.py: 0.4 at classes 1 and 3 of the first frame; labels [1, 2], [2], [3], scores -(sum of maxima).
  const auto as_is = [](double x) { return x; };
  using Rows = std::vector<std::vector<double>>;
  const auto decode = [&](const Rows& rows) { return greedy(one_sequence(rows, as_is).view())[0]; };
  const auto a = decode({{0.1, 0.4, 0.2, 0.4}, {0.3, -0.3, 0.4, 0.2}, {0.3, 0.2, 0.4, 0.3}});
  EXPECT_EQ(a.labels, (Labels{1, 2}));
  EXPECT_NEAR(a.log_prob, 1.2, 1e-6);
  EXPECT_EQ(decode({{0.7, 0.4, 0.3, 0.2}, {0.3, 0.3, 0.4, 0.1}, {0.6, -0.1, 0.1, 0.5}}).labels, Labels{2});
  EXPECT_EQ(decode({{0.1, 0.4, 0.2, 0.7}}).labels, Labels{3});
}

TEST(Greedy, AnyBlank) {
  const Batch batch = say({0, 0, 2, 0, 1}, 3);
  EXPECT_EQ(greedy(batch.view(), {.blank = 2})[0].labels, (Labels{0, 0, 1}));
  EXPECT_EQ(greedy(batch.view(), {.blank = -1})[0].labels, (Labels{0, 0, 1}));
  EXPECT_EQ(greedy(batch.view(), {.blank = -3})[0].labels, (Labels{2, 1}));
}

TEST(Greedy, LengthsEndSequencesAndPaddingIsNotRead) {
  Batch batch = random_batch(6, 3, 4, 1);
  batch.lengths = {6, 0, 2};
  const auto clean = greedy(batch.view());
  for (std::int64_t t = 0; t < 6; ++t)
    for (std::int64_t n = 1; n < 3; ++n)
      if (t >= batch.lengths[static_cast<std::size_t>(n)])
        for (std::int64_t c = 0; c < 4; ++c)
          batch.log_probs[static_cast<std::size_t>((t * 3 + n) * 4 + c)] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(greedy(batch.view()), clean);
  EXPECT_EQ(clean[1], Hypothesis{});
  EXPECT_TRUE(greedy(FramesView{{}, 0, 0, 4, {}}).empty());
  EXPECT_EQ(greedy(FramesView{{}, 0, 2, 4, {}}).size(), 2U);
}

TEST(Greedy, ThreadsDoNotMatter) {
  const Batch batch = random_batch(40, 33, 5, 2);
  const auto one = greedy(batch.view());
  for (const int threads : {0, 2, 7, 64}) EXPECT_EQ(greedy(batch.view(), {.threads = threads}), one);
  EXPECT_EQ(greedy_trimmed(batch.view(), 5), greedy_trimmed(batch.view()));
}

template <class Call>
std::string refusal(Call call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.what();
  }
  return "nothing refused";
}

TEST(Greedy, RefusesWhatDoesNotFit) {
  Batch batch = random_batch(3, 2, 4, 3);
  const auto decode = [&] { greedy(batch.view(), {.threads = 2}); };
  batch.log_probs[(2 * 2 + 1) * 4 + 3] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_NE(refusal(decode).find("log_probs[2, 1, 3] is NaN"), std::string::npos) << refusal(decode);
  batch.log_probs.pop_back();
  EXPECT_NE(refusal(decode).find("must be [T N C], got 23"), std::string::npos) << refusal(decode);
  batch = random_batch(3, 2, 4, 3);
  batch.lengths = {3, 4};
  EXPECT_NE(refusal(decode).find("lengths[1] must be from 0 to T=3"), std::string::npos) << refusal(decode);
  batch.lengths = {3};
  EXPECT_NE(refusal(decode).find("lengths must be [N]"), std::string::npos) << refusal(decode);
  batch.lengths.clear();
  for (const std::int32_t blank : {4, -5, std::numeric_limits<std::int32_t>::min()}) {
    EXPECT_NE(refusal([&] { greedy(batch.view(), {.blank = blank}); }).find("blank"), std::string::npos);
  }
  EXPECT_NE(refusal([&] { greedy_trimmed(batch.view(), -1); }).find("threads"), std::string::npos);
}

}  // namespace
}  // namespace seqgpu::decode
