#include "seqgpu/data/conlleval.hpp"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <random>
#include <set>
#include <tuple>

#include "seqgpu/data/iob.hpp"

namespace seqgpu::data {
namespace {

using Tags = std::vector<std::string>;
using Rows = std::vector<Tags>;

// --- the reference: every span of a sentence is tried against the definition of a chunk -------------------------

std::string prefix(const std::string& tag) { return tag.substr(0, tag.find('-')); }
std::string type(const std::string& tag) {
  return tag.find('-') == std::string::npos ? "" : tag.substr(tag.find('-') + 1);
}

bool cut(const std::string& a, const std::string& b, const std::set<std::string>& pairs, const std::string& subject) {
  const std::string p = prefix(subject);
  return pairs.count(prefix(a) + prefix(b)) > 0 || (p != "O" && p != "." && type(a) != type(b)) || p == "[" || p == "]";
}

using Spans = std::set<std::tuple<std::size_t, std::size_t, std::string>>;

// [first, last] is a chunk if one starts before it, none starts or ends inside, and one ends behind it.
Spans brute_chunks(const Tags& tags) {
  static const std::set<std::string> kEnd = {"BB", "BO", "IB", "IO", "EE", "EI", "EO"};
  static const std::set<std::string> kStart = {"BB", "IB", "OB", "OI", "EE", "EI", "OE"};
  const auto at = [&](std::size_t i) { return i == 0 || i > tags.size() ? std::string("O") : tags[i - 1]; };
  const auto ends = [&](std::size_t i) { return cut(at(i), at(i + 1), kEnd, at(i)); };  // after i, counted from 1
  const auto starts = [&](std::size_t i) { return cut(at(i - 1), at(i), kStart, at(i)); };
  Spans spans;
  for (std::size_t first = 1; first <= tags.size(); ++first) {
    for (std::size_t last = first; last <= tags.size(); ++last) {
      bool whole = starts(first) && ends(last);
      for (std::size_t i = first; i < last; ++i) whole = whole && !ends(i) && !starts(i + 1);
      if (whole) spans.emplace(first - 1, last - 1, type(at(first)));
    }
  }
  return spans;
}

Spans brute_strict(const Tags& tags) {
  Spans spans;
  for (std::size_t first = 0; first < tags.size(); ++first) {
    for (std::size_t last = first; last < tags.size(); ++last) {
      bool whole = prefix(tags[first]) == "B";
      for (std::size_t i = first + 1; i <= last; ++i) whole = whole && tags[i] == "I-" + type(tags[first]);
      whole = whole && (last + 1 == tags.size() || tags[last + 1] != "I-" + type(tags[first]));
      if (whole) spans.emplace(first, last, type(tags[first]));
    }
  }
  return spans;
}

struct Alphabet {
  const char* name;
  Tags tags;
  ChunkMode mode;
};

class ConllevalRandom : public testing::TestWithParam<Alphabet> {};

TEST_P(ConllevalRandom, AgreesWithSetsOfSpans) {
  const Alphabet& alphabet = GetParam();
  std::mt19937 random(7);
  for (int round = 0; round < 3000; ++round) {
    const auto draw = [&](std::size_t length) {
      Tags tags(length);
      for (auto& tag : tags) tag = alphabet.tags[random() % alphabet.tags.size()];
      return tags;
    };
    Rows gold, guess;
    for (std::size_t s = 0; s < 3; ++s) {
      gold.push_back(draw(random() % 9));
      guess.push_back(gold.back());
      for (auto& tag : guess.back()) {
        if (random() % 4 == 0) tag = draw(1)[0];
      }
    }
    std::map<std::string, std::array<std::int64_t, 3>> want;
    std::int64_t same = 0, tokens = 0;
    for (std::size_t s = 0; s < gold.size(); ++s) {
      const auto spans = alphabet.mode == ChunkMode::strict ? brute_strict : brute_chunks;
      const Spans g = spans(gold[s]), p = spans(guess[s]);
      for (const auto& span : g) ++want[std::get<2>(span)][0], want[std::get<2>(span)][2] += p.count(span) ? 1 : 0;
      for (const auto& span : p) ++want[std::get<2>(span)][1];
      for (std::size_t i = 0; i < gold[s].size(); ++i) same += gold[s][i] == guess[s][i] ? 1 : 0;
      tokens += static_cast<std::int64_t>(gold[s].size());
    }
    const ChunkScores scores = conlleval(gold, guess, alphabet.mode);
    ASSERT_EQ(scores.types.size(), want.size());
    for (const auto& [name, counts] : want) {
      const TypeScore& score = scores.types.at(name);
      ASSERT_EQ((std::array<std::int64_t, 3>{score.gold, score.found, score.correct}), counts) << name;
    }
    ASSERT_EQ(scores.correct_tags, same);
    ASSERT_EQ(scores.tokens, tokens);

    std::int64_t hits = 0, missed_or_paired = 0;
    for (const ChunkConfusion& row : chunk_confusion(gold, guess, alphabet.mode)) {
      hits += row.same_span && row.gold == row.predicted ? row.count : 0;
      missed_or_paired += row.gold.empty() ? 0 : row.count;
    }
    ASSERT_EQ(hits, scores.overall.correct);
    ASSERT_EQ(missed_or_paired, scores.overall.gold);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Alphabets, ConllevalRandom,
    testing::Values(Alphabet{"iob", {"O", "O", "B-x", "I-x", "B-y", "I-y"}, ChunkMode::conlleval},
                    Alphabet{"iob1", {"O", "O", "I-x", "I-x", "I-y", "B-x"}, ChunkMode::conlleval},
                    Alphabet{"ioe", {"O", "I-x", "E-x", "I-y", "E-y"}, ChunkMode::conlleval},
                    Alphabet{"all", {"O", ".", "B-x", "I-x", "E-x", "B-y", "I-y", "E-y"}, ChunkMode::conlleval},
                    Alphabet{"strict", {"O", "O", "B-x", "I-x", "I-x", "B-y", "I-y"}, ChunkMode::strict}),
    [](const auto& info) { return std::string(info.param.name); });

// --- hand cases -------------------------------------------------------------------------------------------------

TEST(Conlleval, ChunksByHand) {
  const auto lenient = [](const Tags& tags) { return chunks_of(tags); };
  using C = std::vector<Chunk>;
  EXPECT_EQ(lenient({"I-x", "I-x"}), (C{{"x", 0, 1}}));
  EXPECT_EQ(lenient({"B-x", "I-y"}), (C{{"x", 0, 0}, {"y", 1, 1}}));
  EXPECT_EQ(lenient({"I-x", "B-x", "O", "I-x"}), (C{{"x", 0, 0}, {"x", 1, 1}, {"x", 3, 3}}));
  EXPECT_EQ(lenient({"E-x", "B-x"}), (C{{"x", 0, 1}}));  // the script's known oddity
  EXPECT_EQ(lenient({"S-x", "S-x"}), (C{{"x", 0, 1}}));  // and why IOBES must be converted
  EXPECT_EQ(lenient({"[", "O", "]"}), (C{{"", 0, 0}, {"", 2, 2}}));
  EXPECT_EQ(lenient({"B-a-b"}), (C{{"a-b", 0, 0}}));
  EXPECT_EQ(chunks_of(Tags{"I-x", "B-x", "I-y", "I-x"}, ChunkMode::strict), (C{{"x", 1, 1}}));
  EXPECT_THROW(chunks_of(Tags{"S-x"}, ChunkMode::strict), Error);
}

TEST(Conlleval, StrictAndLenientDifferOnAnUnopenedChunk) {
  const Rows gold = {{"B-x", "I-x"}}, guess = {{"I-x", "I-x"}};
  EXPECT_EQ(conlleval(gold, guess).overall.f1, 1);
  EXPECT_EQ(conlleval(gold, guess, ChunkMode::strict).overall.f1, 0);
}

TEST(Conlleval, SentenceEndsCloseChunks) {
  const Rows two = {{"O", "B-x"}, {"I-x", "O"}}, one = {{"O", "B-x", "I-x", "O"}};
  EXPECT_EQ(conlleval(two, two).overall.gold, 2);
  EXPECT_EQ(conlleval(one, one).overall.gold, 1);
}

TEST(Conlleval, ReportHasTheScriptsLayout) {
  const Rows gold = {{"B-LOC", "I-LOC", "O", "B-PER"}, {"B-PARTY_SIZE_DESCRIPTION", "O"}, {"B-LOC", "O"}};
  const Rows guess = {{"B-LOC", "I-LOC", "O", "O"}, {"B-PARTY_SIZE_DESCRIPTION", "O"}, {"O", "B-LOC"}};
  EXPECT_EQ(conlleval_report(conlleval(gold, guess)),
            "processed 8 tokens with 4 phrases; found: 3 phrases; correct: 2.\n"
            "accuracy:  62.50%; precision:  66.67%; recall:  50.00%; FB1:  57.14\n"
            "              LOC: precision:  50.00%; recall:  50.00%; FB1:  50.00  2\n"
            "PARTY_SIZE_DESCRIPTION: precision: 100.00%; recall: 100.00%; FB1: 100.00  1\n"
            "              PER: precision:   0.00%; recall:   0.00%; FB1:   0.00  0\n");
  EXPECT_EQ(conlleval_report(conlleval({}, {})), "processed 0 tokens with 0 phrases; found: 0 phrases; correct: 0.\n");
}

TEST(Conlleval, WrongSizesAreNamed) {
  const Rows a = {{"O"}, {"O", "O"}}, b = {{"O"}}, c = {{"O"}, {"O"}};
  EXPECT_THROW(conlleval(a, b), Error);
  try {
    conlleval(a, c);
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.argument(), "predicted[1]");
  }
}

TEST(Conlleval, ConfusionByHand) {
  const Rows gold = {{"B-to", "I-to", "O", "B-from"}, {"B-to", "O", "B-to"}};
  const Rows guess = {{"B-from", "I-from", "O", "B-from"}, {"B-from", "B-day", "O"}};
  const auto rows = chunk_confusion(gold, guess);
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0].gold, "to");
  EXPECT_EQ(rows[0].predicted, "from");
  EXPECT_TRUE(rows[0].same_span);
  EXPECT_EQ(rows[0].count, 2);
  EXPECT_EQ(rows[0].sentence, 0);
  EXPECT_EQ(rows[0].first, 0);
  EXPECT_EQ(rows[0].last, 1);
  EXPECT_EQ(rows[1].gold, "");
  EXPECT_EQ(rows[1].predicted, "day");
  EXPECT_EQ(rows[1].sentence, 1);
  EXPECT_EQ(rows[1].first, 1);
  EXPECT_EQ(rows[2].gold, "from");
  EXPECT_EQ(rows[2].predicted, "from");
  EXPECT_EQ(rows[3].gold, "to");
  EXPECT_EQ(rows[3].predicted, "");
}

}  // namespace
}  // namespace seqgpu::data
