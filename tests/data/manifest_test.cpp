#include "seqgpu/data/manifest.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/support/temporary_folder.hpp"

namespace seqgpu::data {
namespace {

using Labels = std::vector<std::int32_t>;
using namespace std::string_literals;

TEST(Manifest, ReadsPathsAndTranscripts) {
  const Manifest manifest = parse_manifest(
      "\xef\xbb\xbf# sounds\na.wav\tone two\r\n\n  \t \n/abs/b c.wav\t  gr\xc3\xbc\xc3\x9f   dich \nd.wav\t", "m",
      "set");
  ASSERT_EQ(manifest.utterances.size(), 3u);
  EXPECT_EQ(manifest.utterances[0].path, "set/a.wav");
  EXPECT_EQ(manifest.utterances[0].transcript, "one two");
  EXPECT_EQ(manifest.utterances[0].line, 2);
  EXPECT_EQ(manifest.utterances[1].path, "/abs/b c.wav");
  EXPECT_EQ(manifest.utterances[1].transcript, "gr\xc3\xbc\xc3\x9f dich");
  EXPECT_EQ(manifest.utterances[1].line, 5);
  EXPECT_EQ(manifest.utterances[2].transcript, "");
  EXPECT_EQ(parse_manifest("a.wav\tx\n", "m").utterances[0].path, "a.wav");
  EXPECT_TRUE(parse_manifest("", "m").utterances.empty());
}

struct Hostile {
  std::string text, where;
};

TEST(Manifest, MalformedLinesNameFileLineColumn) {
  const std::vector<Hostile> cases = {
      {"a.wav one two\n", "m:1:14"}, {"# c\n\na.wav", "m:3:6"},       {"\tone\n", "m:1:1"},
      {"  \tone\n", "m:1:1"},        {"a.wav\tone\ttwo\n", "m:1:10"}, {"a.wav\tx\xff\n", "m:1:8"},
      {"a.wav\tx\0\n"s, "m:1:8"},    {"a\x01.wav\tx\n", "m:1:2"},     {"a.wav\tx\ry\n", "m:1:8"},
      {"a.wav\tx\r\r\n", "m:1:8"},   {"ok.wav\tx\nbad\n", "m:2:4"},
  };
  for (const Hostile& c : cases) {
    try {
      parse_manifest(c.text, "m");
      ADD_FAILURE() << c.text;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_file);
      EXPECT_EQ(e.argument(), c.where) << e.what();
    }
  }
}

TEST(Manifest, BadLinesAreSkippedAndCountedWhereAskedFor) {
  const std::string text = "a.wav\tx\nbad\n\ty\nb.wav\tz\n";
  const Manifest manifest = parse_manifest(text, "m", "", {.skip_bad = 2});
  EXPECT_EQ(manifest.utterances.size(), 2u);
  EXPECT_EQ(manifest.bad_lines, 2);
  EXPECT_NE(manifest.first_bad.find("m:2:4"), std::string::npos);
  EXPECT_THROW(parse_manifest(text, "m", "", {.skip_bad = 1}), Error);
}

TEST(Manifest, WritesWhatItReads) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "manifest.tsv";
  write_manifest(path, std::vector<Utterance>{{"a.wav", "one  two", 0}, {"/b.wav", "", 0}});
  const Manifest back = read_manifest(path);
  ASSERT_EQ(back.utterances.size(), 2u);
  EXPECT_EQ(back.name, path);
  EXPECT_EQ(back.utterances[0].path, folder / "a.wav");
  EXPECT_EQ(back.utterances[0].transcript, "one two");
  EXPECT_EQ(back.utterances[1].path, "/b.wav");
  std::filesystem::remove(path);
  EXPECT_THROW(read_manifest(path), Error);
  for (const Utterance& bad : {Utterance{"", "x", 0}, Utterance{" ", "", 0}, Utterance{"#a", "x", 0},
                               Utterance{"a\tb", "x", 0}, Utterance{"a", "x\ny", 0}, Utterance{"a", "\xff", 0}}) {
    EXPECT_THROW(format_manifest({&bad, 1}), Error);
  }
}

TEST(SymbolTable, OfCharacters) {
  const std::vector<Utterance> said = {{"", "ab \xc3\xa4", 0}, {"", "  b   a ", 0}};
  const SymbolTable table = SymbolTable::build(said, TranscriptUnit::characters);
  EXPECT_EQ(table.size(), 5);  // blank, space, a, b, a with dots
  EXPECT_EQ(table.encode("ab \xc3\xa4"), (Labels{2, 3, 1, 4}));
  EXPECT_EQ(table.encode(" \t b   a\n"), (Labels{3, 1, 2}));
  EXPECT_EQ(table.encode(""), Labels{});
  EXPECT_EQ(table.decode(Labels{0, 2, 0, 0, 3, 1, 4}), "ab \xc3\xa4");
  EXPECT_EQ(table.symbol(0), "<blank>");
}

TEST(SymbolTable, OfWords) {
  const std::vector<Utterance> said = {{"", "two one", 0}, {"", "one <blank>", 0}};
  const SymbolTable table = SymbolTable::build(said, TranscriptUnit::words);
  EXPECT_EQ(table.size(), 4);
  EXPECT_EQ(table.encode("one two  one"), (Labels{2, 3, 2}));
  EXPECT_EQ(table.encode("<blank>"), Labels{1});  // a word like any other
  EXPECT_EQ(table.decode(Labels{3, 0, 2}), "two one");
}

TEST(SymbolTable, NamesTheUnknownSymbol) {
  const std::vector<Utterance> said = {{"", "one two", 0}};
  try {
    SymbolTable::build(said, TranscriptUnit::words).encode("two three");
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    EXPECT_NE(std::string(e.what()).find("holds \"three\", unit 2"), std::string::npos) << e.what();
  }
  const SymbolTable empty;
  EXPECT_THROW(empty.encode("a"), Error);
  std::vector<std::string> unknown{"before"};
  EXPECT_EQ(SymbolTable::build(said, TranscriptUnit::words).encode("three two four three one", unknown),
            (Labels{2, 1}));
  EXPECT_EQ(unknown, (std::vector<std::string>{"before", "three", "four", "three"}));
  EXPECT_THROW(empty.symbol(1), Error);
  EXPECT_THROW(empty.decode(Labels{-1}), Error);
}

TEST(SymbolTable, SurvivesText) {
  const std::vector<Utterance> said = {{"", "ab \xc3\xa4 \\n", 0}};
  for (const auto unit : {TranscriptUnit::characters, TranscriptUnit::words}) {
    const SymbolTable table = SymbolTable::build(said, unit), back = SymbolTable::from_string(table.to_string());
    EXPECT_EQ(back.to_string(), table.to_string());
    EXPECT_EQ(back.unit(), unit);
    EXPECT_EQ(back.encode(said[0].transcript), table.encode(said[0].transcript));
  }
  for (const std::string& bad :
       {""s, "seqgpu symbols 2 words\n"s, "seqgpu symbols 1 words"s, "seqgpu symbols 1 words\na\na\n"s,
        "seqgpu symbols 1 words\n\n"s, "seqgpu symbols 1 words\n \n"s, "seqgpu symbols 1 characters\nab\n"s,
        "seqgpu symbols 1 words\na\nb"s}) {
    try {
      SymbolTable::from_string(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_file);
    }
  }
}

}  // namespace
}  // namespace seqgpu::data
