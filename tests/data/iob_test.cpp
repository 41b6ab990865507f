#include "seqgpu/data/iob.hpp"

#include <gtest/gtest.h>

#include <cstdio>

#include "tests/support/temporary_folder.hpp"

namespace seqgpu::data {
namespace {

using Tags = std::vector<std::string>;
using namespace std::string_literals;

std::vector<Token> tokens(const std::string& text) {
  const auto sentences = parse_iob(text, "t");
  return sentences.size() == 1 ? sentences[0].tokens : std::vector<Token>{};
}

TEST(Iob, ReadsWordAndLastColumn) {
  const std::vector<Token> want = {{"EU", "B-ORG"}, {"rejects", "O"}};
  EXPECT_EQ(tokens("EU\tB-ORG\nrejects\tO\n"), want);
  EXPECT_EQ(tokens("EU NNP I-NP B-ORG\nrejects VBZ I-VP O"), want);
  EXPECT_EQ(tokens("  EU \t NNP\tB-ORG \t\r\nrejects  O\r\n\r\n"), want);
  EXPECT_EQ(tokens("\xef\xbb\xbf"
                   "EU\tB-ORG\nrejects\tO\n"),
            want);
  EXPECT_EQ(tokens("# intent = atis_flight\nEU\tB-ORG\nrejects\tO\n"), want);
  EXPECT_EQ(tokens("-DOCSTART- -X- O O\n\nEU\tB-ORG\nrejects\tO\n-DOCSTART-\n"), want);
}

TEST(Iob, SplitsSentencesAndKeepsTheirLines) {
  const auto sentences = parse_iob("\n \t\n# a = b\nx O\n\n\n\t\ny B-creative-work\n-X- O\nz O", "t");
  ASSERT_EQ(sentences.size(), 3u);
  EXPECT_EQ(sentences[0].first_line, 4);
  EXPECT_EQ(sentences[1].first_line, 8);
  EXPECT_EQ(sentences[2].first_line, 10);
  EXPECT_EQ(sentences[1].tokens[0].tag, "B-creative-work");
  EXPECT_TRUE(parse_iob("", "t").empty());
  EXPECT_TRUE(parse_iob("\xef\xbb\xbf", "t").empty());
}

TEST(Iob, HashWordsAreNoComments) {
  EXPECT_EQ(tokens("#\tO\n= O\n"), (std::vector<Token>{{"#", "O"}, {"=", "O"}}));
  EXPECT_EQ(tokens("# =\tO\n"), (std::vector<Token>{{"#", "O"}}));  // a tab: three columns
  EXPECT_EQ(tokens("# = O\n"), (std::vector<Token>{{"#", "O"}}));   // no key
  EXPECT_EQ(tokens("#tag O\n"), (std::vector<Token>{{"#tag", "O"}}));
}

struct Hostile {
  std::string text;
  std::string where;
};

TEST(Iob, MalformedLinesNameFileLineColumn) {
  const std::vector<Hostile> cases = {
      {"word\n", "f:1:5"},
      {"a O\nword", "f:2:5"},
      {"a O\r\n  word \r\n", "f:2:7"},
      {"word\t\n", "f:1:5"},
      {"\xef\xbb\xbf"
       "word\n",
       "f:1:5"},
      {"a\tX-foo\n", "f:1:3"},
      {"a\tB-\n", "f:1:3"},
      {"a\tI-\n", "f:1:3"},
      {"a\tB\n", "f:1:3"},
      {"a\to\n", "f:1:3"},
      {"a\t0\n", "f:1:3"},
      {"a\tO-\n", "f:1:3"},
      {"a\tO-x\n", "f:1:3"},
      {"a\tb-x\n", "f:1:3"},
      {"a\t-x\n", "f:1:3"},
      {"a\t-\n", "f:1:3"},
      {"a\tBx\n", "f:1:3"},
      {"a\tB_x\n", "f:1:3"},
      {"a NN  I-NP  Q-x  \n", "f:1:13"},
      {"x O\n\n\nb\tOO\n", "f:4:3"},
      {"a\0b\tO\n"s, "f:1:2"},
      {"a\tO\0\n"s, "f:1:4"},
      {"\0"s, "f:1:1"},
      {"a\tO\n\n\0\n"s, "f:3:1"},
      {"a\xff\tO\n", "f:1:2"},
      {"\x80\tO\n", "f:1:1"},
      {"ab\xc0\x80\tO\n", "f:1:3"},        // overlong NUL
      {"\xe0\x80\x80\tO\n", "f:1:1"},      // overlong
      {"\xed\xa0\x80\tO\n", "f:1:1"},      // surrogate
      {"\xf4\x90\x80\x80\tO\n", "f:1:1"},  // past U+10FFFF
      {"\xf0\x8f\xbf\xbf\tO\n", "f:1:1"},  // overlong
      {"\xf5\x80\x80\x80\tO\n", "f:1:1"},
      {"a\tB-\xc3\n", "f:1:5"},    // cut off by the end of the line
      {"a\tB-\xe2\x82", "f:1:5"},  // cut off by the end of the file
      {"# k = \xff\n", "f:1:7"},
      {"# newpar\n", "f:1:3"},  // no "=": two columns
      {"\xff\xfe"
       "a\0\t\0"s,
       "f:1:1"},                  // UTF-16
      {"a\tB-x\r \n", "f:1:6"},   // written again, it would end its line
      {"a\tO\rb\tO\n", "f:1:7"},  // "O" there is a tag: see below
  };
  ASSERT_GE(cases.size(), 25u);
  for (std::size_t i = 0; i + 1 < cases.size(); ++i) {
    try {
      parse_iob(cases[i].text, "f");
      ADD_FAILURE() << "accepted case " << i << ": " << cases[i].text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_file);
      EXPECT_EQ(e.operation(), "read_iob");
      EXPECT_EQ(e.argument(), cases[i].where) << "case " << i << ": " << e.what();
    }
  }
  // A carriage return inside a line is a letter like another: old Mac line ends make one long line.
  EXPECT_EQ(tokens(cases.back().text), (std::vector<Token>{{"a", "O"}}));
}

TEST(Iob, SkipBadCountsLinesAndDropsTheirSentences) {
  const std::string text = "a O\nbad\nb O\n\nc O\n\nd O\ne X-y\nf\n\ng O\n";
  const IobFile file = parse_iob(text, "f", {.skip_bad = 3});
  ASSERT_EQ(file.sentences.size(), 2u);
  EXPECT_EQ(file.sentences[0].tokens[0].word, "c");
  EXPECT_EQ(file.sentences[1].tokens[0].word, "g");
  EXPECT_EQ(file.bad_lines, 3);
  EXPECT_NE(file.first_bad.find("f:2:4"), std::string::npos) << file.first_bad;
  try {
    parse_iob(text, "f", {.skip_bad = 2});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.argument(), "f:9:2");
  }
}

TEST(Iob, FilesThatCannotBeRead) {
  for (const char* path : {"/nonexistent/file.tsv", "/"}) {
    try {
      read_iob(path);
      ADD_FAILURE() << path;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::io_failure);
    }
  }
  try {
    write_iob("/nonexistent/file.tsv", {});
    ADD_FAILURE();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::io_failure);
  }
}

TEST(Iob, WritesWhatItReads) {
  const std::vector<Sentence> sentences = {{{{"\xef\xbb\xbfx", "O"}, {"#", "B-a"}}, 1}, {{{"=", "O"}}, 4}};
  const test::TemporaryFolder folder;
  write_iob(folder / "sentences.iob", sentences);
  const auto back = read_iob(folder / "sentences.iob");
  ASSERT_EQ(back.size(), 2u);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(back[i].tokens, sentences[i].tokens);
    EXPECT_EQ(back[i].first_line, sentences[i].first_line);
  }
  const std::vector<Token> bad = {{"", "O"},   {"a b", "O"}, {"a\nb", "O"},  {"-DOCSTART-", "O"}, {"-X-", "O"},
                                  {"a", "B-"}, {"a", ""},    {"a", "B-x y"}, {"a", "B-x\r"},      {"\xff", "O"}};
  for (const Token& token : bad) {
    const std::vector<Sentence> one = {{{token}, 0}};
    EXPECT_THROW(format_iob(one), Error) << token.word << '|' << token.tag;
  }
}

TEST(Iob, DetectsSchemes) {
  const auto scheme = [](const std::string& text) { return detect_scheme(parse_iob(text, "t")); };
  EXPECT_EQ(scheme("a O\n"), TagScheme::iob2);
  EXPECT_EQ(scheme("a B-x\nb I-x\nc B-x\n"), TagScheme::iob2);
  EXPECT_EQ(scheme("a I-x\nb I-x\nc B-x\n"), TagScheme::iob1);
  EXPECT_EQ(scheme("a B-x\nb I-y\n"), TagScheme::iob1);
  EXPECT_EQ(scheme("a B-x\n\nb I-x\n"), TagScheme::iob1);  // a new sentence
  EXPECT_EQ(scheme("a S-x\n"), TagScheme::iobes);
  EXPECT_EQ(scheme("a I-x\nb E-x\n"), TagScheme::iobes);
  EXPECT_EQ(scheme("a U-x\n"), TagScheme::iobes);
}

TEST(Iob, ConvertsByHand) {
  const Tags iob2 = {"B-x", "I-x", "B-x", "O", "B-y", "B-x"};
  const Tags iob1 = {"I-x", "I-x", "B-x", "O", "I-y", "I-x"};
  const Tags iobes = {"B-x", "E-x", "S-x", "O", "S-y", "S-x"};
  const Tags bilou = {"B-x", "L-x", "U-x", "O", "U-y", "U-x"};
  EXPECT_EQ(convert_tags(iob1, TagScheme::iob1, TagScheme::iob2), iob2);
  EXPECT_EQ(convert_tags(iobes, TagScheme::iobes, TagScheme::iob2), iob2);
  EXPECT_EQ(convert_tags(bilou, TagScheme::iobes, TagScheme::iob2), iob2);
  EXPECT_EQ(convert_tags(iob2, TagScheme::iob2, TagScheme::iob1), iob1);
  EXPECT_EQ(convert_tags(iob2, TagScheme::iob2, TagScheme::iobes), iobes);
  const Tags loose = {"I-x", "I-y", "E-y", "I-y", "E-z"};
  EXPECT_EQ(convert_tags(loose, TagScheme::iobes, TagScheme::iob2), (Tags{"B-x", "B-y", "I-y", "B-y", "B-z"}));
  EXPECT_THROW(convert_tags(iobes, TagScheme::iob2, TagScheme::iob1), Error);
  EXPECT_THROW(convert_tags(Tags{"X-x"}, TagScheme::iob2, TagScheme::iob1), Error);
}

TEST(Iob, EveryShortSequenceSurvivesConversion) {
  const Tags alphabet = {"O", "B-x", "I-x", "B-y", "I-y"};
  for (int code = 0; code < 5 * 5 * 5 * 5 * 5; ++code) {
    Tags tags;
    for (int rest = code, i = 0; i < 5; ++i, rest /= 5) tags.push_back(alphabet[static_cast<std::size_t>(rest % 5)]);
    const Tags iob2 = convert_tags(tags, TagScheme::iob2, TagScheme::iob2);  // repairs loose I
    for (const TagScheme scheme : {TagScheme::iob1, TagScheme::iobes, TagScheme::iob2}) {
      const Tags there = convert_tags(iob2, TagScheme::iob2, scheme);
      ASSERT_EQ(convert_tags(there, scheme, TagScheme::iob2), iob2);
    }
    ASSERT_EQ(convert_tags(iob2, TagScheme::iob2, TagScheme::iob2), iob2);
  }
}

}  // namespace
}  // namespace seqgpu::data
