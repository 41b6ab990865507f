// The counts that the folders of public sets state for themselves; skipped where the folders are not there.
#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "seqgpu/data/conlleval.hpp"
#include "seqgpu/data/iob.hpp"

namespace seqgpu::data {
namespace {

struct Expected {
  const char* file;
  std::size_t sentences, tokens, slots, tags, vocabulary;  // 0: not stated
  std::size_t unopened = 0;  // slots that a set begins with I: counted by conlleval, not by its own statement
};

class PublicSet : public testing::TestWithParam<Expected> {};

TEST_P(PublicSet, HasTheStatedCounts) {
  const Expected& want = GetParam();
  const char* folder = std::getenv("SEQGPU_DATA");
  const auto path = std::filesystem::path(folder ? folder : "../shared/data") / want.file;
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: no data at " << path;
  const auto sentences = read_iob(path.string());
  std::size_t tokens = 0, opened = 0, chunks = 0;
  std::set<std::string> tags, words;
  std::vector<std::vector<std::string>> rows;
  for (const Sentence& sentence : sentences) {
    rows.push_back(tags_of(sentence));
    tokens += sentence.tokens.size();
    chunks += chunks_of(rows.back()).size();
    for (const Token& token : sentence.tokens) {
      tags.insert(token.tag);
      words.insert(token.word);
      opened += token.tag.starts_with("B-") ? 1 : 0;
    }
  }
  EXPECT_EQ(sentences.size(), want.sentences);
  EXPECT_EQ(tokens, want.tokens);
  EXPECT_EQ(opened, want.slots);
  EXPECT_EQ(chunks, want.slots + want.unopened);
  EXPECT_EQ(tags.size(), want.tags);
  if (want.vocabulary > 0) {
    EXPECT_EQ(words.size(), want.vocabulary);
  }
  EXPECT_EQ(detect_scheme(sentences), want.unopened > 0 ? TagScheme::iob1 : TagScheme::iob2);
  EXPECT_EQ(conlleval(rows, rows).overall.f1, 1);
}

INSTANTIATE_TEST_SUITE_P(All, PublicSet,
                         testing::Values(Expected{"atis/train.tsv", 4473, 50647, 14852, 121, 875},
                                         Expected{"atis/test.tsv", 893, 9164, 2837, 101, 448},
                                         Expected{"snips/train.tsv", 12484, 111263, 32374, 71, 14172},
                                         Expected{"snips/test.tsv", 700, 6327, 1791, 69, 1833, 1},
                                         Expected{"wnut17/train.tsv", 3063, 56623, 1798, 13, 0},
                                         Expected{"wnut17/dev.tsv", 1009, 15733, 836, 13, 0},
                                         Expected{"wnut17/test.tsv", 1287, 23394, 1079, 13, 0}),
                         [](const auto& info) {
                           std::string name = info.param.file;
                           for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
                           return name;
                         });

}  // namespace
}  // namespace seqgpu::data
