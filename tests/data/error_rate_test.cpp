#include "seqgpu/data/error_rate.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

namespace seqgpu::data {
namespace {

using Tokens = std::vector<std::string>;
using Columns = std::vector<AlignedPair>;

std::int64_t cost(const ErrorCounts& counts) {
  return 4 * counts.substitutions + 3 * counts.deletions + 3 * counts.insertions;
}

// --- the reference: every alignment there is, last column first, in the order in which equals are preferred ----------

class AllAlignments {
 public:
  AllAlignments(const Tokens& reference, const Tokens& hypothesis) : reference_(reference), hypothesis_(hypothesis) {
    extend(reference.size(), hypothesis.size(), 0);
  }
  std::int64_t least = std::numeric_limits<std::int64_t>::max();
  Columns first;  // of the least cost

 private:
  void extend(std::size_t r, std::size_t h, std::int64_t cost) {
    if (r == 0 && h == 0 && cost < least) {
      least = cost;
      first.assign(columns_.rbegin(), columns_.rend());
    }
    const auto last_r = static_cast<std::int64_t>(r) - 1, last_h = static_cast<std::int64_t>(h) - 1;
    if (r > 0 && h > 0) {
      const bool same = reference_[r - 1] == hypothesis_[h - 1];
      columns_.push_back({same ? AlignedAs::correct : AlignedAs::substitution, last_r, last_h});
      extend(r - 1, h - 1, cost + (same ? 0 : 4));
      columns_.pop_back();
    }
    if (h > 0) {
      columns_.push_back({AlignedAs::insertion, -1, last_h});
      extend(r, h - 1, cost + 3);
      columns_.pop_back();
    }
    if (r > 0) {
      columns_.push_back({AlignedAs::deletion, last_r, -1});
      extend(r - 1, h, cost + 3);
      columns_.pop_back();
    }
  }

  const Tokens &reference_, &hypothesis_;
  Columns columns_;
};

// All strings of up to `longest` of `letters` letters.
std::vector<Tokens> all_strings(std::size_t longest, int letters) {
  std::vector<Tokens> strings = {{}};
  for (std::size_t begin = 0, length = 1; length <= longest; ++length) {
    const std::size_t end = strings.size();
    for (; begin < end; ++begin) {
      for (int letter = 0; letter < letters; ++letter) {
        strings.push_back(strings[begin]);
        strings.back().emplace_back(1, static_cast<char>('a' + letter));
      }
    }
  }
  return strings;
}

void expect_as_enumerated(const Tokens& reference, const Tokens& hypothesis) {
  Columns columns = {{AlignedAs::deletion, 7, 7}};  // what was there before goes
  const ErrorCounts counts = align_tokens(reference, hypothesis, &columns);
  const AllAlignments all(reference, hypothesis);
  ASSERT_EQ(cost(counts), all.least);
  ASSERT_EQ(columns, all.first);
  ErrorCounts told{.reference = static_cast<std::int64_t>(reference.size())};
  for (const AlignedPair& pair : columns) {
    told.substitutions += pair.kind == AlignedAs::substitution ? 1 : 0;
    told.deletions += pair.kind == AlignedAs::deletion ? 1 : 0;
    told.insertions += pair.kind == AlignedAs::insertion ? 1 : 0;
  }
  ASSERT_EQ(told, counts);
  ASSERT_EQ(align_tokens(reference, hypothesis), counts);
}

TEST(AlignTokens, IsTheFirstOfTheCheapestOfAllAlignments) {
  for (const Tokens& reference : all_strings(4, 2)) {
    for (const Tokens& hypothesis : all_strings(4, 2)) expect_as_enumerated(reference, hypothesis);
  }
  std::mt19937 random(1);
  const auto draw = [&](int letters) {
    Tokens tokens(random() % 7);
    for (std::string& token : tokens) {
      token = std::string(1, static_cast<char>('a' + random() % static_cast<unsigned>(letters)));
    }
    return tokens;
  };
  for (int trial = 0; trial < 300; ++trial) expect_as_enumerated(draw(2 + trial % 4), draw(2 + trial % 4));
}

TEST(AlignTokens, ExchangingTheSidesExchangesDeletionsAndInsertions) {
  std::mt19937 random(2);
  for (int trial = 0; trial < 200; ++trial) {
    Tokens a(random() % 30), b(random() % 30);
    for (Tokens* tokens : {&a, &b}) {
      for (std::string& token : *tokens) token = std::to_string(random() % 5);
    }
    const ErrorCounts there = align_tokens(a, b), back = align_tokens(b, a);
    EXPECT_EQ(cost(there), cost(back));
    EXPECT_EQ(there.insertions - there.deletions, back.deletions - back.insertions);
    EXPECT_EQ(there.correct() + there.substitutions + there.insertions, static_cast<std::int64_t>(b.size()));
  }
}

TEST(AlignTokens, TwoInsertionsAndADeletionBesideAPairThatIsRight) {
  const Tokens reference = {"one", "two", "three"}, hypothesis = {"two", "four", "three", "five"};
  Columns columns;
  const ErrorCounts counts = align_tokens(reference, hypothesis, &columns);
  EXPECT_EQ(counts, (ErrorCounts{.substitutions = 0, .deletions = 1, .insertions = 2, .reference = 3}));
  EXPECT_EQ(columns, (Columns{{AlignedAs::deletion, 0, -1},
                              {AlignedAs::correct, 1, 0},
                              {AlignedAs::insertion, -1, 1},
                              {AlignedAs::correct, 2, 2},
                              {AlignedAs::insertion, -1, 3}}));
  EXPECT_STREQ(to_string(columns[2].kind), "insertion");
}

struct ScliteCase {
  const char *reference, *hypothesis, *columns;  // C correct, S substitution, D deletion, I insertion
};

// What sclite 2.10 of SCTK 2.4.10 prints (-s -i rm -o pra). The errors of the last five are one more than the
// Levenshtein distance: three substitutions cost as much as two insertions and two deletions.
TEST(AlignTokens, AsScliteDoes) {
  const ScliteCase cases[] = {
      {"b a c c c", "a b b a b b a a b a b b", "IIIIICICISSS"},
      {"b a b b b b b a b b", "a b b b a a b", "DCDDCCCCSC"},
      {"c c f c d c e f f", "f c c f b d c e f f", "ICCCSCCCCC"},
      {"e e a b d f a a e e e e b d", "a e c e d e d e f f d", "SCSSCDDDCSCSSC"},
      {"a b a a b a b a a a b b b", "a b a a", "DDDDDCCDCCDDD"},
      {"d c a e d a b f d a f f f f", "c f f b a e d b e b e f", "DCIIICCCDCDDDSSSC"},
      {"b d c a d b b a b d", "d d d c b c b b d b", "DCDSCICICDCCI"},
      {"d b e b b d d f e f e", "a f c b a a a c c d d a", "IISCIISSSCCDDDS"},
      {"a c c a b d b b c c d b c d", "c c c c d d b d d b", "DCCDDDDDCCICCSCI"},
      {"c a a c d b c d d c", "b d b c d a c d a", "DDDSCCCCIICS"},
  };
  for (const ScliteCase& c : cases) {
    Columns columns;
    align_tokens(split_transcript(c.reference, TranscriptUnit::words),
                 split_transcript(c.hypothesis, TranscriptUnit::words), &columns);
    std::string kinds;
    for (const AlignedPair& pair : columns) kinds += "CSDI"[static_cast<int>(pair.kind)];
    EXPECT_EQ(kinds, c.columns) << c.reference << " | " << c.hypothesis;
  }
}

TEST(ErrorCounts, OfNothing) {
  const Tokens nothing, two = {"a", "b"};
  EXPECT_EQ(align_tokens(nothing, nothing).rate(), 0);
  EXPECT_EQ(align_tokens(nothing, two), (ErrorCounts{.insertions = 2}));
  EXPECT_TRUE(std::isinf(align_tokens(nothing, two).rate()));
  EXPECT_EQ(align_tokens(two, nothing), (ErrorCounts{.deletions = 2, .reference = 2}));
  EXPECT_EQ(align_tokens(two, nothing).rate(), 1);
}

TEST(ErrorCounts, AddUpBeforeTheyAreDivided) {
  ErrorCounts all = {.substitutions = 1, .deletions = 2, .insertions = 3, .reference = 8};
  all += {.substitutions = 10, .deletions = 20, .insertions = 30, .reference = 40};
  EXPECT_EQ(all, (ErrorCounts{.substitutions = 11, .deletions = 22, .insertions = 33, .reference = 48}));
  EXPECT_EQ(all.errors(), 66);
  EXPECT_EQ(all.correct(), 15);
  EXPECT_EQ(all.rate(), 66. / 48);
}

TEST(ErrorCounts, RefusesMorePairsThanItHasMemoryFor) {
  const Tokens many(50000);
  try {
    align_tokens(many, many);
    FAIL() << "was aligned";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("50000 tokens"), std::string::npos) << e.what();
  }
}

TEST(SplitTranscript, Words) {
  EXPECT_EQ(split_transcript(" one  two\tthree\r\n", TranscriptUnit::words), (Tokens{"one", "two", "three"}));
  EXPECT_EQ(split_transcript(" \t ", TranscriptUnit::words), Tokens{});
}

TEST(SplitTranscript, CharactersAreCodePoints) {
  EXPECT_EQ(split_transcript(" a  \xc3\xa4\t\xe4\xb8\xad ", TranscriptUnit::characters),
            (Tokens{"a", " ", "\xc3\xa4", " ", "\xe4\xb8\xad"}));
  EXPECT_EQ(split_transcript("a\xff\xc3", TranscriptUnit::characters), (Tokens{"a", "\xff", "\xc3"}));
}

TEST(TranscriptErrors, ByUnit) {
  const ErrorCounts words = transcript_errors("m\xc3\xbcller  ging", " muller ging heim", TranscriptUnit::words);
  EXPECT_EQ(words, (ErrorCounts{.substitutions = 1, .insertions = 1, .reference = 2}));
  const ErrorCounts characters = transcript_errors("m\xc3\xbcller", "muler", TranscriptUnit::characters);
  EXPECT_EQ(characters, (ErrorCounts{.substitutions = 1, .deletions = 1, .reference = 6}));
}

}  // namespace
}  // namespace seqgpu::data
