#include "seqgpu/decode/language.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>

#include "seqgpu/decode/beam_search.hpp"
#include "seqgpu/decode/greedy.hpp"
#include "seqgpu/error.hpp"
#include "tests/decode/inputs.hpp"

namespace seqgpu::decode {
namespace {

using Labels = std::vector<std::int32_t>;
constexpr double kNever = -std::numeric_limits<double>::infinity();
const std::vector<std::string> kSymbols = {"_", "a", "b", " "};

std::shared_ptr<const NgramModel> model_of(const std::string& text) {
  return std::make_shared<const NgramModel>(NgramModel::parse(text, "m"));
}

// Words a, ab, b; no <unk>.
const auto kWords = model_of(
    "\\data\\\nngram 1=5\nngram 2=3\n\\1-grams:\n-99 <s> -0.2\n-0.7 </s>\n-0.5 a -0.3\n-0.9 ab -0.1\n-0.8 b -0.4\n"
    "\\2-grams:\n-0.4 <s> ab\n-0.3 ab b\n-0.6 b </s>\n\\end\\\n");
// Characters a and b; a third is <unk>.
const auto kCharacters = model_of(
    "\\data\\\nngram 1=5\nngram 2=3\nngram 3=1\n\\1-grams:\n-2 <unk>\n-99 <s> -0.2\n-0.7 </s>\n-0.5 a -0.3\n-0.9 b "
    "-0.1\n"
    "\\2-grams:\n-0.4 <s> b -0.15\n-0.3 a b -0.05\n-0.6 b a\n\\3-grams:\n-0.1 <s> b a\n\\end\\\n");

// ln p of every label sequence, over all C^T alignments.
std::map<Labels, double> enumerate(const Batch& batch) {
  const reference::Doubles y = batch.sequence(0);
  std::map<Labels, double> all;
  Labels path(static_cast<std::size_t>(batch.T), 0);
  do {
    double log_prob = 0;
    for (std::size_t t = 0; t < path.size(); ++t) {
      log_prob += y[t * static_cast<std::size_t>(batch.C) + static_cast<std::size_t>(path[t])];
    }
    double& sum = all.try_emplace(collapse(path, 0), kNever).first->second;
    sum = reference::log_add(sum, log_prob);
  } while (next_path(path, batch.C));
  return all;
}

std::string text_of(const Labels& labels) {
  std::string text;
  for (const auto label : labels) text += kSymbols[static_cast<std::size_t>(label)];
  return text;
}

std::vector<std::string> pieces(const std::string& text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  return words;
}

// Holds the unpruned search to "frames + language" worked out for each label sequence as a whole.
template <class Terms>
void expect_exact(const Language& language, Terms terms) {
  for (unsigned seed = 1; seed <= 3; ++seed) {
    const Batch batch = random_batch(6, 1, 4, seed, 1);
    const auto all = enumerate(batch);
    std::vector<std::pair<double, Labels>> want;
    for (const auto& [labels, log_prob] : all) {
      const double score = log_prob + terms(labels);
      if (score != kNever) want.emplace_back(-score, labels);
    }
    std::sort(want.begin(), want.end());
    BeamOptions options{.width = 0, .n_best = 100000};
    options.language = std::make_shared<const Language>(language);
    const auto got = beam_search(batch.view(), options)[0];
    ASSERT_EQ(got.size(), want.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
      EXPECT_NEAR(got[i].score, -want[i].first, 1e-9) << i;
      EXPECT_NEAR(got[i].score, all.at(got[i].labels) + terms(got[i].labels), 1e-9) << text_of(got[i].labels);
      EXPECT_NEAR(got[i].log_prob, all.at(got[i].labels), 1e-9);
    }
  }
}

TEST(Language, CharacterModelIsExact) {
  expect_exact({.symbols = kSymbols, .model = kCharacters, .model_weight = 0.7, .insertion = 0.4},
               [](const Labels& labels) {
                 double sum = 0;
                 auto history = kCharacters->start();
                 for (const auto label : labels) {
                   sum += kCharacters->score(history, kCharacters->id(kSymbols[static_cast<std::size_t>(label)]));
                 }
                 return 0.7 * (sum + kCharacters->finish(history)) + 0.4 * static_cast<double>(labels.size());
               });
}

std::int64_t count_words(const std::string& text) {
  const auto words = pieces(text);
  return std::count_if(words.begin(), words.end(), [](const auto& word) { return !word.empty(); });
}

TEST(Language, WordModelIsExact) {
  expect_exact({.symbols = kSymbols, .separator = 3, .model = kWords, .model_weight = 0.5, .insertion = -0.3},
               [](const Labels& labels) {
                 const std::string text = text_of(labels);
                 return 0.5 * kWords->sentence(text) - 0.3 * static_cast<double>(count_words(text));
               });
}

TEST(Language, LexiconAllowsItsWordsOnly) {
  const std::vector<std::string> words = {"a", "ab", "bb"};
  const auto lexicon = std::make_shared<const Lexicon>(Lexicon::spelled(words, kSymbols));
  EXPECT_EQ(lexicon->size(), 3);
  const auto allowed = [&](const Labels& labels) {
    if (labels.empty()) return true;
    auto parts = pieces(text_of(labels));
    if (parts.back().empty()) parts.pop_back();  // one separator may come last
    return !parts.empty() && std::all_of(parts.begin(), parts.end(), [&](const auto& word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    });
  };
  expect_exact({.symbols = kSymbols, .separator = 3, .lexicon = lexicon},
               [&](const Labels& labels) { return allowed(labels) ? 0 : kNever; });
  expect_exact({.symbols = kSymbols, .separator = 3, .model = kWords, .insertion = 1, .lexicon = lexicon},
               [&](const Labels& labels) {
                 const std::string text = text_of(labels);
                 return allowed(labels) ? kWords->sentence(text) + static_cast<double>(count_words(text)) : kNever;
               });
}

TEST(Language, PrunedSearchStaysTheSameInChunksAndOnThreads) {
  const Batch batch = random_batch(40, 9, 4, 5, 1);
  BeamOptions options{.width = 10, .n_best = 10};
  const std::vector<std::string> words = {"a", "ab", "bb", "b"};
  for (const bool listed : {false, true}) {
    Language language{.symbols = kSymbols, .separator = 3, .model = kWords, .insertion = 0.5};
    if (listed) language.lexicon = std::make_shared<const Lexicon>(Lexicon::spelled(words, kSymbols));
    options.language = std::make_shared<const Language>(language);
    options.threads = 1;
    const auto want = beam_search(batch.view(), options);
    options.threads = 4;
    EXPECT_EQ(beam_search(batch.view(), options), want);
    const auto row = batch.sequence(2);
    const std::vector<float> frames(row.begin(), row.end());
    for (const std::size_t chunk : {1U, 7U, 40U}) {
      BeamSearch search(4, options);
      for (std::size_t at = 0; at < frames.size(); at += chunk * 4) {
        search.push(std::span(frames).subspan(at, std::min(chunk * 4, frames.size() - at)));
        search.best();
      }
      EXPECT_EQ(search.best(), want[2]);
    }
    for (const auto& h : want[2]) {
      const std::string text = text_of(h.labels);
      EXPECT_NEAR(h.score, h.log_prob + kWords->sentence(text) + 0.5 * static_cast<double>(count_words(text)), 1e-9);
    }
  }
}

TEST(Language, TheModelDecidesBetweenEquals) {
  // Two frames sure of nothing but that "a" or "b" comes first: the characters' model prefers b at the start.
  const float half = std::log(0.5F), never = -std::numeric_limits<float>::infinity();
  const Batch batch{2, 1, 4, {never, half, half, never, 0, never, never, never}, {}};
  EXPECT_EQ(beam_search(batch.view())[0][0].labels, Labels{1});
  BeamOptions options;
  options.language = std::make_shared<const Language>(Language{.symbols = kSymbols, .model = kCharacters});
  EXPECT_EQ(beam_search(batch.view(), options)[0][0].labels, Labels{2});
}

TEST(Language, LexiconSpellsWithTheLongestSymbol) {
  const std::vector<std::string> symbols = {"", "s", "h", "sh", "e"}, words = {"she", "hes"};
  const Lexicon lexicon = Lexicon::spelled(words, symbols);
  const auto word_at = [&](const Labels& labels) {
    std::int32_t node = 0;
    for (const auto label : labels) {
      node = lexicon.child(node, label);
      if (node == Lexicon::kNone) return std::string("none");
    }
    return lexicon.word(node);
  };
  EXPECT_EQ(word_at({3, 4}), "she");
  EXPECT_EQ(word_at({3}), "");
  EXPECT_EQ(word_at({1, 2, 4}), "none");
  EXPECT_EQ(word_at({2, 4, 1}), "hes");
}

template <class Call>
std::string refused(Call call) {
  try {
    call();
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ErrorCode::invalid_argument);
    return e.argument();
  }
  return "nothing refused";
}

TEST(Language, RefusesWhatDoesNotFit) {
  Lexicon lexicon;
  const Labels spelling = {1, 2};
  lexicon.add("ab", spelling);
  lexicon.add("ab", spelling);
  EXPECT_EQ(lexicon.size(), 1);
  EXPECT_EQ(refused([&] { lexicon.add("AB", spelling); }), "AB");
  EXPECT_EQ(refused([&] { lexicon.add("", spelling); }), "word");
  EXPECT_EQ(refused([&] { lexicon.add("x", {}); }), "x");
  EXPECT_EQ(refused([&] { lexicon.add("x", Labels{1, -1}); }), "x");
  const std::vector<std::string> words = {"abc"};
  EXPECT_EQ(refused([&] { Lexicon::spelled(words, kSymbols); }), "abc");

  const Batch batch = random_batch(2, 1, 4, 9);
  const auto decode = [&](const Language& language) {
    return refused([&] {
      BeamOptions options;
      options.language = std::make_shared<const Language>(language);
      beam_search(batch.view(), options);
    });
  };
  EXPECT_EQ(decode({.symbols = {"a"}}), "language.symbols");
  EXPECT_EQ(decode({.symbols = kSymbols, .separator = 0}), "language.separator");
  EXPECT_EQ(decode({.symbols = kSymbols, .separator = 4}), "language.separator");
  EXPECT_EQ(decode({.symbols = kSymbols, .lexicon = std::make_shared<const Lexicon>()}), "language.separator");
  EXPECT_EQ(decode({.symbols = kSymbols, .model_weight = std::numeric_limits<double>::quiet_NaN()}),
            "language.model_weight");
  EXPECT_EQ(decode({.symbols = kSymbols, .insertion = kNever}), "language.insertion");
}

}  // namespace
}  // namespace seqgpu::decode
