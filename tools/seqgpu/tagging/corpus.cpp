#include "corpus.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "seqgpu/error.hpp"
#include "tools/seqgpu/random.hpp"

namespace seqgpu::tool {
namespace {

// Moves a part of train, chosen by the seed, to dev. Both keep their order.
void hold_back(Corpus& corpus, double fraction, std::uint64_t seed) {
  const std::vector<bool> held = held_back(corpus.train.size(), fraction, seed);
  std::vector<data::Sentence> train;
  for (std::size_t i = 0; i < held.size(); ++i) (held[i] ? corpus.dev : train).push_back(std::move(corpus.train[i]));
  corpus.train = std::move(train);
}

}  // namespace

std::vector<data::Sentence> load_sentences(const std::string& path, std::int64_t skip_bad) {
  data::IobOptions options;
  options.skip_bad = skip_bad;
  data::IobFile file = data::read_iob(path, options);
  const data::TagScheme scheme = data::detect_scheme(file.sentences);
  if (file.bad_lines > 0) {
    fmt::print(stderr, "{}: left out {} malformed lines, the first: {}\n", path, file.bad_lines, file.first_bad);
  }
  if (scheme == data::TagScheme::iob2) return std::move(file.sentences);
  fmt::print(stderr, "{}: tags are {}, converted to iob2\n", path, data::to_string(scheme));
  return data::convert_scheme(file.sentences, scheme, data::TagScheme::iob2);
}

Corpus load_corpus(const Config& config) {
  Corpus corpus;
  corpus.train = load_sentences(config.train, config.skip_bad);
  if (!config.test.empty()) corpus.test = load_sentences(config.test, config.skip_bad);
  if (!config.dev.empty()) {
    corpus.dev = load_sentences(config.dev, config.skip_bad);
  } else {
    hold_back(corpus, config.dev_fraction, static_cast<std::uint64_t>(config.seed));
  }
  if (corpus.train.empty()) {
    throw Error(ErrorCode::invalid_file, "train", config.train, "holds no sentence to train on");
  }
  return corpus;
}

std::string fingerprint(const Corpus& corpus) {
  Fingerprint hash;
  const auto add = [&](const std::string& text) { hash.add(text), hash.add("\xff"); };
  for (const auto* part : {&corpus.train, &corpus.dev}) {
    for (const data::Sentence& sentence : *part) {
      for (const data::Token& token : sentence.tokens) {
        add(token.word);
        add(token.tag);
      }
      add("\n");
    }
    add("\n\n");
  }
  return hash.text();
}

Lexicon build_lexicon(const std::vector<data::Sentence>& train, const Config& config) {
  data::VocabularyOptions options;
  options.min_count = config.min_count;
  options.digits_to_zero = config.digits_to_zero;
  options.lower_case = config.lower_case;
  Lexicon lexicon{data::Vocabulary::build(train, options), data::Labels::build(train), std::nullopt};
  if (config.trigrams > 0) lexicon.trigrams = data::TrigramFeatures::listed(train);
  return lexicon;
}

TagLists tag_lists(const std::vector<data::Sentence>& sentences) {
  TagLists lists;
  lists.reserve(sentences.size());
  for (const data::Sentence& sentence : sentences) lists.push_back(data::tags_of(sentence));
  return lists;
}

}  // namespace seqgpu::tool
