#include "seqgpu/data/batching.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "seqgpu/data/travel_corpus.hpp"

namespace seqgpu::data {
namespace {

struct Fixture {
  std::vector<Sentence> sentences = travel_corpus(1, 300).train;
  Vocabulary vocabulary = Vocabulary::build(sentences, {.min_count = 2});
  Labels labels = Labels::build(sentences);
  TrigramFeatures trigrams = TrigramFeatures::listed(sentences);

  std::vector<SequenceBatch> batches(const BatchOptions& options, std::uint64_t epoch = 0, bool with_trigrams = false) {
    return make_batches(sentences, vocabulary, labels, with_trigrams ? &trigrams : nullptr, options, epoch);
  }
};

using Ids = std::vector<std::int32_t>;
Ids values(const HostTensor& tensor) {
  const auto view = tensor.view<std::int32_t>();
  return {view.begin(), view.end()};
}

TEST(Batching, HoldsEverySentenceOnce) {
  Fixture f;
  std::set<int> seen;
  for (const SequenceBatch& batch : f.batches({.batch_size = 7, .length_multiple = 4})) {
    const std::int64_t steps = batch.words.shape[0], n = batch.words.shape[1];
    EXPECT_EQ(steps % 4, 0);
    EXPECT_EQ(batch.tags.shape, batch.words.shape);
    EXPECT_EQ(batch.lengths.shape, Shape({n}));
    EXPECT_TRUE(batch.trigrams.bytes.empty());
    ASSERT_EQ(batch.sentence_index.size(), static_cast<std::size_t>(n));
    const Ids words = values(batch.words), tags = values(batch.tags), lengths = values(batch.lengths);
    std::int32_t longest = 0;
    for (std::size_t column = 0; column < static_cast<std::size_t>(n); ++column) {
      EXPECT_TRUE(seen.insert(batch.sentence_index[column]).second);
      const auto& tokens = f.sentences[static_cast<std::size_t>(batch.sentence_index[column])].tokens;
      EXPECT_EQ(lengths[column], static_cast<std::int32_t>(tokens.size()));
      longest = std::max(longest, lengths[column]);
      for (std::size_t t = 0; t < static_cast<std::size_t>(steps); ++t) {
        const std::size_t at = t * static_cast<std::size_t>(n) + column;
        EXPECT_EQ(words[at], t < tokens.size() ? f.vocabulary.id(tokens[t].word) : 0);
        EXPECT_EQ(tags[at], t < tokens.size() ? f.labels.id(tokens[t].tag) : 0);
      }
    }
    EXPECT_LT(steps - longest, 4);
  }
  EXPECT_EQ(seen.size(), f.sentences.size());
}

TEST(Batching, BucketsWasteLittleAndShapesAreFew) {
  Fixture f;
  std::set<std::int64_t> shapes;
  std::int64_t cells = 0, tokens = 0;
  for (const SequenceBatch& batch : f.batches({.batch_size = 8, .length_multiple = 4, .full_batches = true})) {
    shapes.insert(batch.words.shape[0]);
    EXPECT_EQ(batch.words.shape[1], 8);
    cells += batch.words.shape.elements();
    for (const std::int32_t length : values(batch.lengths)) tokens += length;
  }
  EXPECT_LE(shapes.size(), 9u);
  EXPECT_LT(cells * 10, tokens * 14);
}

TEST(Batching, OrderFollowsSeedAndEpoch) {
  Fixture f;
  const auto order = [&](std::uint64_t seed, std::uint64_t epoch, bool shuffle = true) {
    std::vector<int> out;
    for (const auto& batch : f.batches({.batch_size = 7, .shuffle = shuffle, .seed = seed}, epoch)) {
      out.insert(out.end(), batch.sentence_index.begin(), batch.sentence_index.end());
    }
    return out;
  };
  EXPECT_EQ(order(1, 2), order(1, 2));
  EXPECT_NE(order(1, 2), order(1, 3));
  EXPECT_NE(order(1, 2), order(2, 2));
  EXPECT_NE(order(1, 2), order(2, 1));
  EXPECT_EQ(order(1, 2, false), order(9, 9, false));
}

// Which words drop out must not depend on how sentences are put into batches.
TEST(Batching, WordDropoutFollowsThePlaceInTheData) {
  Fixture f;
  const auto dropped = [&](BatchOptions options, std::uint64_t epoch) {
    options.word_dropout = 0.25f;
    std::map<int, Ids> words;
    for (const auto& batch : f.batches(options, epoch)) {
      const Ids ids = values(batch.words);
      const std::size_t n = batch.sentence_index.size();
      for (std::size_t column = 0; column < n; ++column) {
        Ids& row = words[batch.sentence_index[column]];
        for (std::int32_t t = 0; t < values(batch.lengths)[column]; ++t) {
          row.push_back(ids[static_cast<std::size_t>(t) * n + column]);
        }
      }
    }
    return words;
  };
  const auto a = dropped({.batch_size = 7}, 1);
  EXPECT_EQ(a, dropped({.batch_size = 16, .length_multiple = 8, .shuffle = false}, 1));
  EXPECT_NE(a, dropped({.batch_size = 7}, 2));
  double known = 0, lost = 0;
  for (const auto& [index, row] : a) {
    for (std::size_t t = 0; t < row.size(); ++t) {
      if (f.vocabulary.id(f.sentences[static_cast<std::size_t>(index)].tokens[t].word) == 0) continue;
      known += 1;
      lost += row[t] == 0 ? 1 : 0;
    }
  }
  EXPECT_NEAR(lost / known, 0.25, 4 * 0.433 / std::sqrt(known));  // four standard deviations
}

TEST(Batching, TrigramsArePaddedWithTheGivenId) {
  Fixture f;
  const auto batches = f.batches({.batch_size = 7, .trigram_multiple = 4, .trigram_padding = -5}, 0, true);
  for (const SequenceBatch& batch : batches) {
    ASSERT_EQ(batch.trigrams.shape.rank(), 3);
    const auto n = static_cast<std::size_t>(batch.trigrams.shape[1]);
    const auto width = static_cast<std::size_t>(batch.trigrams.shape[2]);
    EXPECT_EQ(width % 4, 0u);
    const Ids ids = values(batch.trigrams);
    for (std::size_t t = 0; t < static_cast<std::size_t>(batch.trigrams.shape[0]); ++t) {
      for (std::size_t column = 0; column < n; ++column) {
        const auto& tokens = f.sentences[static_cast<std::size_t>(batch.sentence_index[column])].tokens;
        Ids want = t < tokens.size() ? f.trigrams.ids(tokens[t].word) : Ids{};
        want.resize(width, -5);
        const auto cell = ids.begin() + static_cast<std::ptrdiff_t>((t * n + column) * width);
        EXPECT_EQ(Ids(cell, cell + static_cast<std::ptrdiff_t>(width)), want);
      }
    }
  }
}

TEST(Batching, EdgesAndErrors) {
  Fixture f;
  EXPECT_TRUE(make_batches({}, f.vocabulary, f.labels, nullptr, {}, 0).empty());
  const std::vector<Sentence> odd = {{}, {{{"a", "B-nowhere"}}, 1}};
  EXPECT_THROW(make_batches(odd, f.vocabulary, f.labels, nullptr, {}, 0), Error);
  const BatchOptions lenient{.batch_size = 4, .full_batches = true, .unknown_tags_as_outside = true};
  const auto batches = make_batches(odd, f.vocabulary, f.labels, &f.trigrams, lenient, 0);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].words.shape, Shape({1, 4}));
  EXPECT_EQ(values(batches[0].tags), (Ids{0, 0, 0, 0}));
  EXPECT_EQ(std::multiset<int>(batches[0].sentence_index.begin(), batches[0].sentence_index.end()),
            (std::multiset<int>{-1, -1, 0, 1}));
  EXPECT_THROW(f.batches({.batch_size = 0}), Error);
  EXPECT_THROW(f.batches({.length_multiple = 0}), Error);
  EXPECT_THROW(f.batches({.trigram_multiple = -1}), Error);
  EXPECT_THROW(f.batches({.word_dropout = 1.5f}), Error);
  EXPECT_THROW(f.batches({.word_dropout = std::nanf("")}), Error);
}

}  // namespace
}  // namespace seqgpu::data
