#include "seqgpu/decode/beam_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>
#include <string>

#include "seqgpu/decode/greedy.hpp"
#include "seqgpu/error.hpp"
#include "tests/decode/inputs.hpp"

namespace seqgpu::decode {
namespace {

using Labels = std::vector<std::int32_t>;
constexpr double kNever = -std::numeric_limits<double>::infinity();

struct Enumerated {
  double log_prob = kNever;
  double best = kNever;  // log-probability of the best alignment,
  Labels frames;         // which begins its labels here
};

// Every label sequence that T frames can say, by walking all C^T alignments.
std::map<Labels, Enumerated> enumerate(const reference::Doubles& log_probs, std::int64_t T, std::int64_t C,
                                       std::int32_t blank) {
  std::map<Labels, Enumerated> all;
  Labels path(static_cast<std::size_t>(T), 0);
  do {
    double log_prob = 0;
    Labels frames;
    for (std::size_t t = 0; t < path.size(); ++t) {
      log_prob += log_probs[t * static_cast<std::size_t>(C) + static_cast<std::size_t>(path[t])];
      if (path[t] != blank && (t == 0 || path[t] != path[t - 1])) frames.push_back(static_cast<std::int32_t>(t));
    }
    Enumerated& entry = all[collapse(path, blank)];
    entry.log_prob = reference::log_add(entry.log_prob, log_prob);
    if (log_prob > entry.best) entry = {entry.log_prob, log_prob, frames};
  } while (next_path(path, C));
  return all;
}

std::vector<std::pair<double, Labels>> ranked(const std::map<Labels, Enumerated>& all) {
  std::vector<std::pair<double, Labels>> list;
  for (const auto& [labels, entry] : all) list.emplace_back(-entry.log_prob, labels);
  std::sort(list.begin(), list.end());
  return list;
}

TEST(BeamSearch, UnprunedIsTheSumOverAllAlignments) {
  unsigned seed = 0;
  for (const auto& [T, C] : {std::pair{1, 1}, {1, 3}, {2, 2}, {4, 3}, {5, 4}, {7, 2}, {7, 4}}) {
    for (std::int32_t blank = 0; blank < C; ++blank) {
      const Batch batch = random_batch(T, 1, C, ++seed);
      const auto all = enumerate(batch.sequence(0), T, C, blank);
      const auto want = ranked(all);
      const auto got = beam_search(batch.view(), {.blank = blank, .width = 0, .n_best = 100000})[0];
      ASSERT_EQ(got.size(), want.size()) << "T=" << T << " C=" << C;
      for (std::size_t i = 0; i < got.size(); ++i) {
        const Enumerated& entry = all.at(got[i].labels);
        EXPECT_NEAR(got[i].log_prob, entry.log_prob, 1e-9);
        EXPECT_NEAR(got[i].log_prob, -want[i].first, 1e-9) << "rank " << i;
        EXPECT_EQ(got[i].frames, entry.frames);
        for (std::size_t u = 0; u < got[i].labels.size(); ++u) {
          EXPECT_EQ(got[i].log_probs[u],
                    batch.log_probs[static_cast<std::size_t>(got[i].frames[u] * C + got[i].labels[u])]);
        }
      }
    }
  }
}

// The definition once more, with maps of whole prefixes.
std::vector<std::pair<double, Labels>> plain_beam(const reference::Doubles& log_probs, std::int64_t T, std::int64_t C,
                                                  std::int32_t blank, std::size_t width) {
  struct Two {
    double blank = kNever, label = kNever;
  };
  std::map<Labels, Two> beams = {{{}, {0, kNever}}};
  std::vector<std::pair<double, Labels>> order;
  for (std::int64_t t = 0; t < T; ++t) {
    std::map<Labels, Two> next;
    for (const auto& [prefix, p] : beams) {
      const double total = reference::log_add(p.blank, p.label);
      for (std::int32_t c = 0; c < C; ++c) {
        const double y = log_probs[static_cast<std::size_t>(t * C + c)];
        const auto add = [&](double& sum, double term) { sum = reference::log_add(sum, term + y); };
        if (c == blank) {
          add(next[prefix].blank, total);
          continue;
        }
        Labels longer = prefix;
        longer.push_back(c);
        const bool repeat = !prefix.empty() && prefix.back() == c;
        if (repeat) add(next[prefix].label, p.label);
        add(next[longer].label, repeat ? p.blank : total);
      }
    }
    order.clear();
    for (const auto& [prefix, p] : next) order.emplace_back(-reference::log_add(p.blank, p.label), prefix);
    std::sort(order.begin(), order.end());
    order.resize(std::min(order.size(), width));
    beams.clear();
    for (const auto& [score, prefix] : order) beams[prefix] = next[prefix];
  }
  return order;
}

TEST(BeamSearch, PrunesAsDefined) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const Batch batch = random_batch(30, 1, 5, seed, 1);
    for (const std::int64_t width : {1, 2, 7, 30}) {
      const auto want = plain_beam(batch.sequence(0), 30, 5, 2, static_cast<std::size_t>(width));
      const auto got = beam_search(batch.view(), {.blank = 2, .width = width, .n_best = width})[0];
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i) {
        EXPECT_EQ(got[i].labels, want[i].second) << "seed " << seed << " width " << width << " rank " << i;
        EXPECT_NEAR(got[i].log_prob, -want[i].first, 1e-9);
      }
    }
  }
}

using Rows = std::vector<std::vector<double>>;

// One sequence whose frames are softmax of rows.
Batch softmax(const Rows& rows) {
  reference::Doubles flat;
  for (const auto& row : rows) flat.insert(flat.end(), row.begin(), row.end());
  const auto y = reference::ctc_log_softmax(flat, static_cast<std::int64_t>(rows[0].size()));
  return {
      static_cast<std::int64_t>(rows.size()), 1, static_cast<std::int64_t>(rows[0].size()), {y.begin(), y.end()}, {}};
}

void expect_hypothesis(const Hypothesis& h, const Labels& labels, double log_prob) {
  EXPECT_EQ(h.labels, labels);
  EXPECT_NEAR(h.log_prob, log_prob, 2e-6);
}

TEST(BeamSearch, TensorFlowsTestOfWidthTwo) {  // ctc_decoder_ops_test.py, testCTCDecoderBeamSearch
  const Batch batch = softmax({{0.30999, 0.309938, 0.0679938, 0.0673362, 0.0708352, 0.173908},
                               {0.215136, 0.439699, 0.0370931, 0.0393967, 0.0381581, 0.230517},
                               {0.199959, 0.489485, 0.0233221, 0.0251417, 0.0233289, 0.238763},
                               {0.279611, 0.452966, 0.0204795, 0.0209126, 0.0194803, 0.20655},
                               {0.51286, 0.288951, 0.0243026, 0.0220788, 0.0219297, 0.129878}});
  const auto got = beam_search(batch.view(), {.blank = -1, .width = 2, .n_best = 2})[0];
  ASSERT_EQ(got.size(), 2U);
  expect_hypothesis(got[0], {1, 0}, -5.811451);
  expect_hypothesis(got[1], {1}, -6.63339);
}

TEST(BeamSearch, KerasTestOfWidthFour) {  // nn_test.py, test_ctc_decode
  const auto decode = [](const Rows& rows) {
    return beam_search(softmax(rows).view(), {.blank = 0, .width = 4, .n_best = 2})[0];
  };
  const auto a = decode({{0.1, 0.4, 0.2, 0.4}, {0.3, -0.3, 0.4, 0.2}, {0.3, 0.2, 0.4, 0.3}});
  expect_hypothesis(a[0], {1, 2}, -2.426537);
  expect_hypothesis(a[1], {2}, -2.435596);
  const auto b = decode({{0.7, 0.4, 0.3, 0.2}, {0.3, 0.3, 0.4, 0.1}, {0.6, -0.1, 0.1, 0.5}});
  expect_hypothesis(b[0], {2}, -2.127681);
  expect_hypothesis(b[1], {3}, -2.182338);
  const auto c = decode({{0.1, 0.4, 0.2, 0.7}});
  expect_hypothesis(c[0], {3}, -1.063386);
  expect_hypothesis(c[1], {1}, -1.363386);
}

TEST(BeamSearch, ParlancesTestOfWidthTwenty) {  // ctcdecode, test_decode.py
  const std::string alphabet = "' abcd_";
  const auto text = [&](const Labels& labels) {
    std::string s;
    for (const auto label : labels) s += alphabet[static_cast<std::size_t>(label)];
    return s;
  };
  const Rows first = {{0.06390443, 0.21124858, 0.27323887, 0.06870235, 0.0361254, 0.18184413, 0.16493624},
                      {0.03309247, 0.22866108, 0.24390638, 0.09699597, 0.31895462, 0.0094893, 0.06890021},
                      {0.218104, 0.19992557, 0.18245131, 0.08503348, 0.14903535, 0.08424043, 0.08120984},
                      {0.12094152, 0.19162472, 0.01473646, 0.28045061, 0.24246305, 0.05206269, 0.09772094},
                      {0.1333387, 0.00550838, 0.00301669, 0.21745861, 0.20803985, 0.41317442, 0.01946335},
                      {0.16468227, 0.1980699, 0.1906545, 0.18963251, 0.19860937, 0.04377724, 0.01457421}};
  const Rows second = {{0.08034842, 0.22671944, 0.05799633, 0.36814645, 0.11307441, 0.04468023, 0.10903471},
                       {0.09742457, 0.12959763, 0.09435383, 0.21889204, 0.15113123, 0.10219457, 0.20640612},
                       {0.45033529, 0.09091417, 0.15333208, 0.07939558, 0.08649316, 0.12298585, 0.01654384},
                       {0.02512238, 0.22079203, 0.19664364, 0.11906379, 0.07816055, 0.22538587, 0.13483174},
                       {0.17928453, 0.06065261, 0.41153005, 0.1172041, 0.11880313, 0.07113197, 0.04139363},
                       {0.15882358, 0.1235788, 0.23376776, 0.20510435, 0.00279306, 0.05294827, 0.22298418}};
  const auto log = [](double p) { return std::log(p); };
  const Batch a = one_sequence(first, log), b = one_sequence(second, log);
  EXPECT_EQ(text(greedy(a.view(), {.blank = -1})[0].labels), "ac'bdc");
  EXPECT_EQ(text(greedy(b.view(), {.blank = -1})[0].labels), "b'da");
  EXPECT_EQ(text(beam_search(a.view(), {.blank = -1, .width = 20})[0][0].labels), "acdc");
  EXPECT_EQ(text(beam_search(b.view(), {.blank = -1, .width = 20})[0][0].labels), "b'a");
  // Pruning decided the first: all alignments together say "acb".
  EXPECT_EQ(text(beam_search(a.view(), {.blank = -1, .width = 0})[0][0].labels), "acb");
}

TEST(BeamSearch, ChunksGiveTheBitsOfOneCall) {
  const Batch batch = random_batch(41, 1, 6, 5, 1);
  const BeamOptions options{.width = 12, .n_best = 12};
  const auto whole = beam_search(batch.view(), options)[0];
  for (const std::size_t frames : {1U, 2U, 7U, 40U, 41U}) {
    BeamSearch search(6, options);
    const std::span<const float> all = batch.log_probs;
    for (std::size_t at = 0; at < all.size(); at += frames * 6) {
      search.push(all.subspan(at, std::min(frames * 6, all.size() - at)));
      search.best();  // looking changes nothing
      search.push({});
    }
    EXPECT_EQ(search.frames(), 41);
    EXPECT_EQ(search.best(), whole) << frames;
  }
}

TEST(BeamSearch, ThreadsBatchMatesAndPaddingDoNotMatter) {
  Batch batch = random_batch(20, 17, 5, 6);
  for (std::int32_t n = 0; n < 17; ++n) batch.lengths.push_back(n == 0 ? 0 : 3 + n);
  const BeamOptions one{.width = 8, .n_best = 3};
  const auto want = beam_search(batch.view(), one);
  ASSERT_EQ(want[0].size(), 1U);
  EXPECT_EQ(want[0][0], Hypothesis{});
  for (std::int64_t t = 0; t < 20; ++t)
    for (std::int64_t n = 0; n < 17; ++n)
      for (std::int64_t c = 0; c < 5 && t >= batch.lengths[static_cast<std::size_t>(n)]; ++c)
        batch.log_probs[static_cast<std::size_t>((t * 17 + n) * 5 + c)] = std::numeric_limits<float>::quiet_NaN();
  for (const int threads : {0, 1, 2, 5, 40}) {
    BeamOptions many = one;
    many.threads = threads;
    EXPECT_EQ(beam_search(batch.view(), many), want);
  }
  const reference::Doubles alone = batch.sequence(3);
  const Batch single{6, 1, 5, {alone.begin(), alone.begin() + 30}, {}};
  EXPECT_EQ(beam_search(single.view(), one)[0], want[3]);
}

TEST(BeamSearch, EqualsRankShorterThenByLabels) {
  const Batch uniform{2, 1, 3, std::vector<float>(6, std::log(1 / 3.F)), {}};
  const auto got = beam_search(uniform.view(), {.blank = 2, .width = 0, .n_best = 9})[0];
  std::vector<Labels> order;
  for (const auto& h : got) order.push_back(h.labels);
  EXPECT_EQ(order, (std::vector<Labels>{{0}, {1}, {}, {0, 1}, {1, 0}}));  // 3, 3, 1, 1 and 1 alignments
}

TEST(BeamSearch, PreFilterLimitsWhatExtends) {
  const Batch batch = random_batch(12, 1, 8, 7);
  const auto all = beam_search(batch.view(), {.width = 10, .n_best = 10})[0];
  EXPECT_EQ(beam_search(batch.view(), {.width = 10, .n_best = 10, .top_k = 7})[0], all);
  EXPECT_EQ(beam_search(batch.view(), {.width = 10, .n_best = 10, .top_k = 100})[0], all);
  const auto best_labels = beam_search(batch.view(), {.width = 10, .n_best = 10, .top_k = 1})[0];
  for (const auto& h : best_labels) {
    for (std::size_t u = 0; u < h.labels.size(); ++u) {
      const auto* row = &batch.log_probs[static_cast<std::size_t>(h.frames[u]) * 8];
      EXPECT_EQ(std::max_element(row + 1, row + 8) - row, h.labels[u]);
    }
  }
}

TEST(BeamSearch, ZeroProbabilities) {
  constexpr float kZero = -std::numeric_limits<float>::infinity();
  const Batch sure{2, 1, 3, {kZero, 0, kZero, kZero, kZero, 0}, {}};
  const auto got = beam_search(sure.view(), {.n_best = 5})[0];
  ASSERT_EQ(got.size(), 1U);
  EXPECT_EQ(got[0].labels, (Labels{1, 2}));
  EXPECT_EQ(got[0].log_prob, 0);
  const Batch never{1, 1, 2, {kZero, kZero}, {}};
  EXPECT_TRUE(beam_search(never.view())[0].empty());
}

TEST(BeamSearch, RefusesWhatDoesNotFit) {
  const Batch batch = random_batch(2, 1, 3, 8);
  const auto refused = [](auto call) {
    try {
      call();
      return std::string("nothing refused");
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
      return e.argument();
    }
  };
  EXPECT_EQ(refused([&] { beam_search(batch.view(), {.blank = 3}); }), "blank");
  EXPECT_EQ(refused([&] { beam_search(batch.view(), {.width = -1}); }), "width");
  EXPECT_EQ(refused([&] { beam_search(batch.view(), {.n_best = 0}); }), "n_best");
  EXPECT_EQ(refused([&] { beam_search(batch.view(), {.top_k = -1}); }), "top_k");
  EXPECT_EQ(refused([&] { BeamSearch(0, {}); }), "classes");
  BeamSearch search(3, {});
  search.push(batch.log_probs);
  const auto before = search.best();
  EXPECT_EQ(refused([&] { search.push(std::vector<float>(4, -1.F)); }), "log_probs");
  const std::vector<float> nan = {-1, -1, -1, -1, std::numeric_limits<float>::quiet_NaN(), -1};
  EXPECT_EQ(refused([&] { search.push(nan); }), "log_probs[1, 1]");
  EXPECT_EQ(search.best(), before);
}

}  // namespace
}  // namespace seqgpu::decode
