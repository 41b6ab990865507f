#include "seqgpu/data/vocabulary.hpp"

#include <gtest/gtest.h>

namespace seqgpu::data {
namespace {

using Strings = std::vector<std::string>;

std::vector<Sentence> sample() {
  return parse_iob("b O\na B-x\nb O\nFlight I-x\n1110 O\n\n2002 O\nflight B-y\na O\nb O\n", "sample");
}

TEST(Vocabulary, OrdersByFrequencyThenBytes) {
  const auto v = Vocabulary::build(sample());
  Strings words;
  for (std::int32_t i = 0; i < v.size(); ++i) words.push_back(v.word(i));
  EXPECT_EQ(words, (Strings{"<unk>", "b", "a", "1110", "2002", "Flight", "flight"}));
  EXPECT_EQ(v.id("a"), 2);
  EXPECT_EQ(v.id("nowhere"), Vocabulary::kUnknown);
  EXPECT_EQ(v.id("<unk>"), Vocabulary::kUnknown);
  EXPECT_THROW(v.word(-1), Error);
  EXPECT_THROW(v.word(7), Error);
}

TEST(Vocabulary, OptionsApplyBeforeCounting) {
  const auto v = Vocabulary::build(sample(), {.min_count = 2, .digits_to_zero = true, .lower_case = true});
  EXPECT_EQ(v.size(), 5);
  EXPECT_EQ(v.id("FLIGHT"), v.id("flight"));
  EXPECT_NE(v.id("flight"), 0);
  EXPECT_EQ(v.id("9876"), v.id("0000"));
  EXPECT_NE(v.id("9876"), 0);
  EXPECT_EQ(v.normalise("\xc3\x89 9A"), "\xc3\x89 0a");
}

TEST(Vocabulary, SurvivesText) {
  std::vector<Sentence> odd = sample();
  for (const char* word : {"\\", "\\n", "two\nlines", "cr\r", "", " ", "<unk>"}) odd[0].tokens.push_back({word, "O"});
  const auto v = Vocabulary::build(odd, {.min_count = 1, .digits_to_zero = true});
  const auto back = Vocabulary::from_string(v.to_string());
  EXPECT_EQ(back.to_string(), v.to_string());
  EXPECT_EQ(back.options(), v.options());
  ASSERT_EQ(back.size(), v.size());
  for (std::int32_t i = 0; i < v.size(); ++i) {
    EXPECT_EQ(back.word(i), v.word(i));
    EXPECT_EQ(back.id(v.word(i)), i);
  }
}

TEST(Vocabulary, BrokenTextNamesTheLine) {
  const std::string head = "seqgpu vocabulary 1\nmin_count 1\ndigits_to_zero 0\nlower_case 0\n";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "line 1"},
      {"seqgpu vocabulary 2\n", "line 1"},
      {"seqgpu vocabulary 1\nmin_count\n", "line 2"},
      {"seqgpu vocabulary 1\nmin_count -1\n", "line 2"},
      {"seqgpu vocabulary 1\nmin_count 99999999999999999999\n", "line 2"},
      {head, "line 5"},
      {head + "word\n", "line 5"},
      {head + "<unk>\na\nb", "line 7"},
      {head + "<unk>\na\na\n", "line 7"},
      {head + "<unk>\na\\q\n", "line 6"},
      {head + "<unk>\na\\\n", "line 6"},
  };
  for (const auto& [text, where] : cases) {
    try {
      Vocabulary::from_string(text);
      ADD_FAILURE() << text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_file);
      EXPECT_EQ(e.argument(), where) << e.what();
    }
  }
}

TEST(Labels, OutsideIsZero) {
  const auto labels = Labels::build(sample());
  EXPECT_EQ(labels.size(), 4);
  EXPECT_EQ(labels.id("O"), 0);
  EXPECT_EQ(labels.tag(1), "B-x");
  EXPECT_EQ(labels.tag(2), "B-y");
  EXPECT_EQ(labels.id("I-x"), 3);
  EXPECT_FALSE(labels.contains("I-y"));
  EXPECT_THROW(labels.id("I-y"), Error);
  EXPECT_EQ(Labels::from_string(labels.to_string()).to_string(), labels.to_string());
  EXPECT_THROW(Labels::from_string("seqgpu labels 1\nB-x\n"), Error);
}

TEST(Trigrams, OfWords) {
  EXPECT_EQ(letter_trigrams("abc"), (Strings{"#ab", "abc", "bc#"}));
  EXPECT_EQ(letter_trigrams("a"), (Strings{"#a#"}));
  EXPECT_EQ(letter_trigrams(""), Strings{});
  EXPECT_EQ(letter_trigrams("\xc3\xa9t"), (Strings{"#\xc3\xa9t", "\xc3\xa9t#"}));
  EXPECT_EQ(letter_trigrams("\xff\xc3"), (Strings{"#\xff\xc3", "\xff\xc3#"}));
}

TEST(Trigrams, ListedAndHashed) {
  const auto listed = TrigramFeatures::listed(sample());
  EXPECT_EQ(listed.ids("b"), (std::vector<std::int32_t>{2}));  // #b# is the most frequent
  EXPECT_EQ(listed.ids("zzz"), (std::vector<std::int32_t>{1, 1, 1}));
  for (const auto& features : {listed, TrigramFeatures::hashed(97)}) {
    const auto back = TrigramFeatures::from_string(features.to_string());
    EXPECT_EQ(back.size(), features.size());
    for (const char* word : {"flight", "zebra", "1110"}) {
      EXPECT_EQ(back.ids(word), features.ids(word));
      for (const std::int32_t id : features.ids(word)) {
        EXPECT_GE(id, 1);
        EXPECT_LT(id, features.size());
      }
    }
  }
  EXPECT_THROW(TrigramFeatures::hashed(0), Error);
  EXPECT_THROW(TrigramFeatures::from_string("seqgpu trigrams 1\nbuckets 5\nabc\n"), Error);
  EXPECT_EQ(TrigramFeatures::hashed(1).ids("a"), (std::vector<std::int32_t>{1}));
}

TEST(Shape, OfWords) {
  EXPECT_EQ(word_shape("Oslo-22"), "Xxxx-dd");
  EXPECT_EQ(word_shape("Oslo-22", true), "Xx-d");
  EXPECT_EQ(word_shape("\xc3\xa9t\xc3\xa9"), "xxx");
  EXPECT_EQ(word_prefix("\xc3\xa9toile", 2), "\xc3\xa9t");
  EXPECT_EQ(word_suffix("caf\xc3\xa9", 2), "f\xc3\xa9");
  EXPECT_EQ(word_prefix("ab", 5), "ab");
  EXPECT_EQ(word_suffix("ab", 5), "ab");
  EXPECT_EQ(word_suffix("ab", 0), "");
}

}  // namespace
}  // namespace seqgpu::data
