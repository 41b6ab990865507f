#pragma once

#include <string>
#include <vector>

#include "corpus.hpp"
#include "seqgpu/data/conlleval.hpp"
#include "tools/seqgpu/training.hpp"

namespace seqgpu::tool {

inline constexpr Measure kTaggingMeasure{"dev_f1", "F1", true};

/// A sentence to show with the tags a model gave it.
struct LabelledSentence {
  data::Sentence sentence;  ///< with its own tags, where it has any
  std::vector<std::string> predicted;
};

struct TaggingReport {
  std::string title;
  std::string summary;  ///< one line
  Config config;
  TrainingResult training;
  std::vector<data::Sentence> test;  ///< empty: no table and no confusions
  TagLists predicted;                ///< of test
  std::vector<LabelledSentence> examples;
};

/// One page that needs no other file: curves (SVG), slot table, confusions with example sentences, labelled examples.
/// Well-formed XML.
std::string tagging_report(const TaggingReport& data);

/// "leave [taipei departure] on ..." for a terminal.
std::string bracketed(const data::Sentence& sentence, const std::vector<std::string>& tags);

/// Precision, recall and F1 of each slot and of all, for a terminal.
std::string slot_table(const data::ChunkScores& scores);

}  // namespace seqgpu::tool
