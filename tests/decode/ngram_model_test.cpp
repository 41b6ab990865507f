#include "seqgpu/decode/ngram_model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <random>

#include "seqgpu/error.hpp"
#include "tests/support/temporary_folder.hpp"

namespace seqgpu::decode {
namespace {

using namespace std::string_literals;

const std::string kTrigrams =
    "made by hand\n"
    "\n"
    "\\data\\\n"  // 3
    "ngram 1=5\n"
    "ngram 2=4\n"
    "ngram 3=1\n"
    "\n"
    "\\1-grams:\n"
    "-1.5\t<unk>\n"  // 9
    "-99\t<s>\t-0.5\n"
    "-1.0\t</s>\n"
    "-0.6\tred\t-0.25\n"
    "-0.7\tcar\t-0.125\n"
    "\n"
    "\\2-grams:\n"
    "-0.3\t<s> red\t-0.0625\n"  // 16
    "-0.4\tred car\t-0.03125\n"
    "-0.2\tcar </s>\n"
    "-0.9\tcar car\n"
    "\n"
    "\\3-grams:\n"
    "-0.1\t<s> red car\n"  // 22
    "\n"
    "\\end\\\n";

double ln(double log10) { return log10 * std::log(10.0); }

TEST(NgramModel, BacksOffExactly) {
  const auto model = NgramModel::parse(kTrigrams, "m");
  EXPECT_EQ(model.order(), 3);
  EXPECT_EQ(model.size(1), 5);
  EXPECT_EQ(model.size(2), 4);
  EXPECT_EQ(model.size(3), 1);
  EXPECT_TRUE(model.contains("red"));
  EXPECT_FALSE(model.contains("blue"));
  EXPECT_EQ(model.id("blue"), model.id("<unk>"));

  auto history = model.start();
  EXPECT_NEAR(model.score(history, model.id("red")), ln(-0.3), 1e-12);
  EXPECT_NEAR(model.score(history, model.id("car")), ln(-0.1), 1e-12);
  // "red car </s>" is not listed: bow(red car) p(</s> | car)
  EXPECT_NEAR(model.finish(history), ln(-0.03125 - 0.2), 1e-12);
  // nor "red car red", "car red": bow(red car) bow(car) p(red)
  auto other = history;
  EXPECT_NEAR(model.score(other, model.id("red")), ln(-0.03125 - 0.125 - 0.6), 1e-12);
  // "car red" has no entry, so as a context it costs nothing: p(car | red)
  EXPECT_NEAR(model.score(other, model.id("car")), ln(-0.4), 1e-12);
  // bow(<s>) p(<unk>), and after <unk> nothing is left but p(red)
  EXPECT_NEAR(model.sentence("blue red"), ln(-0.5 - 1.5) + ln(-0.6) + ln(-0.25 - 1.0), 1e-12);
  EXPECT_NEAR(model.sentence(" red  car "), ln(-0.3 - 0.1 - 0.03125 - 0.2), 1e-12);
  EXPECT_NEAR(model.sentence(""), ln(-0.5 - 1.0), 1e-12);
}

TEST(NgramModel, ListedProbabilitiesSumToOne) {
  // An order-2 model over a, b whose back-off weights are worked out so that p(. | h) sums to 1:
  // p(a)=.5 p(b)=.3 p(</s>)=.2; p(a|a)=.6, so bow(a) = (1-.6)/(1-.5) = .8
  const std::string text = "\\data\\\nngram 1=4\nngram 2=1\n\\1-grams:\n-99 <s> 0\n" + std::to_string(std::log10(.5)) +
                           " a " + std::to_string(std::log10(.8)) + "\n" + std::to_string(std::log10(.3)) + " b\n" +
                           std::to_string(std::log10(.2)) + " </s>\n\\2-grams:\n" + std::to_string(std::log10(.6)) +
                           " a a\n\\end\\\n";
  const auto model = NgramModel::parse(text, "m");
  for (const char* word : {"a", "b"}) {
    double sum = 0;
    for (const char* next : {"a", "b", "</s>"}) {
      NgramModel::History history = {model.id(word)};
      sum += std::exp(model.score(history, model.id(next)));
    }
    EXPECT_NEAR(sum, 1, 1e-5) << word;
  }
  EXPECT_EQ(model.id("c"), -1);
  NgramModel::History history = {model.id("a")};
  EXPECT_EQ(model.score(history, -1), NgramModel::kUnlisted);
  EXPECT_TRUE(history.empty());
}

TEST(NgramModel, ToleratesWhatWritersDo) {
  const auto want = NgramModel::parse(kTrigrams, "m").sentence("red car car");
  std::string crlf, spaces = kTrigrams;
  for (const char c : kTrigrams) crlf += c == '\n' ? "\r\n"s : std::string(1, c);
  std::replace(spaces.begin(), spaces.end(), '\t', ' ');
  EXPECT_EQ(NgramModel::parse(crlf, "m").sentence("red car car"), want);
  EXPECT_EQ(NgramModel::parse(spaces, "m").sentence("red car car"), want);
  EXPECT_EQ(NgramModel::parse(kTrigrams.substr(0, kTrigrams.size() - 1), "m").sentence("red car car"), want);
}

std::string refusal(const std::string& text) {
  try {
    NgramModel::parse(text, "lm.arpa");
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_file);
    return e.what();
  }
  return "nothing refused";
}

std::string replaced(const std::string& from, const std::string& to) {
  std::string text = kTrigrams;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(NgramModel, RefusesWithFileAndLine) {
  const auto expect = [](const std::string& text, const std::string& where, const std::string& why) {
    const std::string message = refusal(text);
    EXPECT_NE(message.find("lm.arpa:" + where + " "), std::string::npos) << message;
    EXPECT_NE(message.find(why), std::string::npos) << message;
  };
  expect("", "0", "no line \\data\\");
  expect("hello\nworld\n", "2", "no line \\data\\");
  expect(replaced("ngram 1=5", "ngram 1=6"), "15", "counts 6 1-grams, the section has 5");
  expect(replaced("ngram 1=5", "ngram 1=4"), "13", "more 1-grams than the 4");
  expect(replaced("ngram 1=5", "ngram 1=-5"), "4", "must be positive");
  expect(replaced("ngram 1=5", "ngram 1=five"), "4", "expected a count");
  expect(replaced("ngram 1=5", "ngram 1=99999999999999999999"), "4", "expected a count");
  expect(replaced("ngram 1=5", "ngram 1=9000000000000000000"), "15", "counts 9000000000000000000");
  expect(replaced("ngram 2=4", "ngram 1=5"), "5", "order 2 belongs here");
  expect(replaced("ngram 1=5\nngram 2=4\nngram 3=1\n", ""), "5", "ngram 1=");
  expect(replaced("\\2-grams:", "\\3-grams:"), "15", "expected \\2-grams:");
  expect(replaced("-0.9\tcar car\n", "-0.9\tred car\n"), "19", "duplicate of the 2-gram at line 17");
  expect(replaced("-0.7\tcar\t", "-0.7\tred\t"), "13", "duplicate of the 1-gram at line 12");
  expect(replaced("-0.9\tcar car", "-0.9\tcar bus"), "19", "\"bus\" is not among the unigrams");
  expect(replaced("red\t-0.25", "red"), "17", "\"red\" has no back-off weight at line 12");
  expect(replaced("-0.3\t<s> red\t-0.0625", "-0.3\t<s> car\t-0.0625"), "22", "\"<s> red\" is not among the 2-grams");
  expect(replaced("-0.1\t<s> red car", "-0.1\t<s> red car\t-1"), "22", "found 5 fields");
  expect(replaced("-0.4\tred car", "-0.4\tred"), "17", "\"-0.03125\" is not among");
  expect(replaced("-0.4\t", "-0.4x\t"), "17", "no finite number");
  expect(replaced("-0.4\t", "nan\t"), "17", "no finite number");
  expect(replaced("-0.4\t", "-inf\t"), "17", "no finite number");
  expect(replaced("-0.4\t", "-1e300\t"), "17", "out of range");
  expect(replaced("-0.4\t", "0.4\t"), "17", "above 0");
  expect(replaced("\\end\\\n", ""), "23", "truncated");
  expect(replaced("red car\t", "red\0car\t"s), "17", "NUL byte");
}

TEST(NgramModel, EveryTruncationIsRefused) {
  const std::size_t whole = kTrigrams.find("\\end\\") + 5;
  for (std::size_t size = 0; size < whole; ++size) {
    EXPECT_NE(refusal(kTrigrams.substr(0, size)).find("lm.arpa:"), std::string::npos) << size;
  }
}

TEST(NgramModel, AnyBytesGiveAModelOrAnError) {
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    std::string text = kTrigrams;
    for (int edits = 0; edits < 3; ++edits) {
      const auto at = random() % text.size();
      if (random() % 2 == 0) {
        text[at] = "0-9\\\n \t=x\0"[random() % 10];
      } else {
        text.erase(at, random() % 8);
      }
    }
    try {
      NgramModel::parse(text, "m").sentence("red car blue car");
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::invalid_file);
    }
  }
}

TEST(NgramModel, ReadsFiles) {
  const test::TemporaryFolder folder;
  const std::string path = folder / "model.arpa";
  std::ofstream(path, std::ios::binary) << kTrigrams;
  EXPECT_EQ(NgramModel::read(path).size(1), 5);
  std::filesystem::remove(path);
  try {
    NgramModel::read(path);
    ADD_FAILURE() << "nothing refused";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::io_failure);
  }
}

}  // namespace
}  // namespace seqgpu::decode
