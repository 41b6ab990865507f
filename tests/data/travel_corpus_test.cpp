#include "seqgpu/data/travel_corpus.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <sstream>

#include "seqgpu/data/conlleval.hpp"

namespace seqgpu::data {
namespace {

std::uint64_t fingerprint(const TravelCorpus& corpus) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const auto* part : {&corpus.train, &corpus.dev, &corpus.test}) {
    for (const char c : format_iob(*part)) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  return hash;
}

std::string text_of(const Sentence& sentence) {
  std::string text;
  for (const Token& token : sentence.tokens) text += token.word + ' ';
  return text;
}

std::string value_of(const Sentence& sentence, const Chunk& chunk) {
  std::string text;
  for (int i = chunk.first; i <= chunk.last; ++i) {
    text += (i > chunk.first ? " " : "") + sentence.tokens[static_cast<std::size_t>(i)].word;
  }
  return text;
}

TEST(TravelCorpus, IsTheSameEverywhere) {
  EXPECT_EQ(fingerprint(travel_corpus(1)), 17798510431015188137u);
  EXPECT_EQ(fingerprint(travel_corpus(1)), fingerprint(travel_corpus(1)));
  EXPECT_NE(fingerprint(travel_corpus(1)), fingerprint(travel_corpus(2)));
}

TEST(TravelCorpus, PartsDoNotOverlap) {
  const auto corpus = travel_corpus(3);
  EXPECT_EQ(corpus.train.size(), 4000u);
  EXPECT_EQ(corpus.dev.size(), 500u);
  EXPECT_EQ(corpus.test.size(), 500u);
  std::set<std::string> seen;
  for (const auto* part : {&corpus.train, &corpus.dev, &corpus.test}) {
    for (const Sentence& sentence : *part) EXPECT_TRUE(seen.insert(text_of(sentence)).second) << text_of(sentence);
  }
  EXPECT_THROW(travel_corpus(1, 9), Error);
  EXPECT_THROW(travel_corpus(1, 100001), Error);
}

TEST(TravelCorpus, TagsAreStrictIob2OfTheSlots) {
  const std::set<std::string> slots = {"destination", "departure", "arrival_time", "departure_time",
                                       "return_date", "airline",   "class",        "passengers"};
  const auto corpus = travel_corpus(4);
  EXPECT_EQ(detect_scheme(corpus.train), TagScheme::iob2);
  for (const auto* part : {&corpus.train, &corpus.dev, &corpus.test}) {
    std::set<std::string> found;
    for (const Sentence& sentence : *part) {
      const auto chunks = chunks_of(tags_of(sentence), ChunkMode::strict);
      EXPECT_EQ(chunks, chunks_of(tags_of(sentence)));
      EXPECT_FALSE(chunks.empty());
      for (const Chunk& chunk : chunks) found.insert(chunk.type);
    }
    EXPECT_EQ(found, slots);
  }
  EXPECT_NO_THROW(format_iob(corpus.train));
}

TEST(TravelCorpus, HeldOutWordsAreUnknown) {
  const auto corpus = travel_corpus(5);
  std::set<std::string> known;
  for (const auto* part : {&corpus.train, &corpus.dev}) {
    for (const Sentence& sentence : *part) {
      for (const Token& token : sentence.tokens) known.insert(token.word);
    }
  }
  std::set<std::string> held_out;
  for (const auto& list : {travel_held_out_cities(), travel_held_out_airlines()}) {
    for (const std::string& value : list) {
      held_out.insert(value);
      std::istringstream words(value);
      for (std::string word; words >> word;) EXPECT_EQ(known.count(word), 0u) << word;
    }
  }
  std::set<std::string> used;
  std::size_t values = 0, unseen = 0;
  for (const Sentence& sentence : corpus.test) {
    for (const Chunk& chunk : chunks_of(tags_of(sentence))) {
      if (chunk.type != "destination" && chunk.type != "departure" && chunk.type != "airline") continue;
      const std::string value = value_of(sentence, chunk);
      ++values;
      unseen += held_out.count(value);
      if (held_out.count(value)) used.insert(value);
    }
  }
  EXPECT_EQ(used, held_out);
  EXPECT_GT(unseen * 5, values);  // 0.3 expected
  EXPECT_LT(unseen * 5, values * 2);
}

// Left of and including these words nothing tells the slots apart; a model that reads on can.
TEST(TravelCorpus, SentencesThatBeginWithAValueAreEvenlySplit) {
  std::map<std::string, int> cities, times;
  for (const Sentence& sentence : travel_corpus(6).train) {
    const auto chunks = chunks_of(tags_of(sentence));
    if (chunks[0].first == 0) ++cities[chunks[0].type];
    const std::string& first = sentence.tokens[0].word;
    if (chunks[0].first == 1 && (first == "on" || first == "at" || first == "before")) ++times[chunks[0].type];
  }
  const auto even = [](int a, int b) { return a > 100 && b > 100 && a * 3 > b * 2 && b * 3 > a * 2; };
  EXPECT_TRUE(even(cities["departure"], cities["destination"])) << cities["departure"] << ' ' << cities["destination"];
  EXPECT_TRUE(even(times["departure_time"], times["arrival_time"])) << times["departure_time"];
}

TEST(TravelCorpus, SameValueTakesBothSlots) {
  std::map<std::string, std::set<std::string>> slots;
  for (const Sentence& sentence : travel_corpus(7).train) {
    for (const Chunk& chunk : chunks_of(tags_of(sentence))) slots[value_of(sentence, chunk)].insert(chunk.type);
  }
  EXPECT_EQ(slots["taipei"].size(), 2u);
  EXPECT_EQ(slots["salt lake city"].size(), 2u);
  EXPECT_GE(slots["friday"].size(), 3u);
  EXPECT_EQ(slots["two"].count("passengers"), 1u);
  EXPECT_GE(slots["two"].count("departure_time") + slots["two"].count("arrival_time"), 1u);
}

TEST(TravelCorpus, MinimalPairsShareWordsAndNotSlots) {
  for (const MinimalPair& pair : travel_minimal_pairs()) {
    EXPECT_NE(text_of(pair.first).find(pair.shared), std::string::npos) << pair.shared;
    EXPECT_NE(text_of(pair.second).find(pair.shared), std::string::npos) << pair.shared;
    const auto slots = [&](const Sentence& sentence) {
      std::map<std::string, std::string> out;
      for (const Token& token : sentence.tokens) {
        if ((pair.shared + ' ').find(token.word + ' ') != std::string::npos && token.tag != "O")
          out[token.word] = token.tag;
      }
      return out;
    };
    EXPECT_NE(slots(pair.first), slots(pair.second)) << pair.shared;
    EXPECT_FALSE(slots(pair.first).empty());
  }
}

}  // namespace
}  // namespace seqgpu::data
