#pragma once

#include <span>
#include <string>
#include <vector>

#include "seqgpu/data/iob.hpp"
#include "seqgpu/data/manifest.hpp"
#include "seqgpu/data/tone_corpus.hpp"
#include "seqgpu/data/travel_corpus.hpp"

namespace seqgpu::test {

/// Writes train.tsv, dev.tsv and test.tsv with tagged sentences.
inline void write_sentences(const std::string& folder) {
  const data::TravelCorpus corpus = data::travel_corpus(3, 200);
  data::write_iob(folder + "/train.tsv", corpus.train);
  data::write_iob(folder + "/dev.tsv", corpus.dev);
  data::write_iob(folder + "/test.tsv", corpus.test);
}

/// The same with sound files and their transcripts.
inline void write_sounds(const std::string& folder) {
  data::ToneCorpusOptions options;
  options.train_utterances = 32;
  options.test_utterances = 12;
  options.letters = 3;
  options.longest = 4;
  const data::ToneCorpusFiles files = data::write_tone_corpus(folder, options);
  const std::vector<data::Utterance> all = data::read_manifest(files.test_manifest).utterances;
  data::write_manifest(folder + "/dev.tsv", std::span(all).first(6));
  data::write_manifest(files.test_manifest, std::span(all).subspan(6));
}

}  // namespace seqgpu::test
