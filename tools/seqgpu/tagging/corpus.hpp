#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "seqgpu/data/iob.hpp"
#include "seqgpu/data/vocabulary.hpp"
#include "tools/seqgpu/config.hpp"

namespace seqgpu::tool {

using TagLists = std::vector<std::vector<std::string>>;

/// Sentences with IOB2 tags, whatever the files hold.
struct Corpus {
  std::vector<data::Sentence> train, dev, test;
};

/// Reads the files that the config names; notes (scheme, lines left out, dev part) go to stderr.
Corpus load_corpus(const Config& config);

/// One file, converted to IOB2.
std::vector<data::Sentence> load_sentences(const std::string& path, std::int64_t skip_bad);

/// Changes with any word or tag of train or dev.
std::string fingerprint(const Corpus& corpus);

/// What turns words and tags into ids.
struct Lexicon {
  data::Vocabulary vocabulary;
  data::Labels labels;
  std::optional<data::TrigramFeatures> trigrams;
};
Lexicon build_lexicon(const std::vector<data::Sentence>& train, const Config& config);

/// The tags of each sentence.
TagLists tag_lists(const std::vector<data::Sentence>& sentences);

}  // namespace seqgpu::tool
