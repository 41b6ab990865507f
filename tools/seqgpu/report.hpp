#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "corpus.hpp"
#include "seqgpu/data/conlleval.hpp"
#include "training.hpp"

namespace seqgpu::tool {

/// A sentence to show with the tags a model gave it.
struct LabelledSentence {
  data::Sentence sentence;  ///< with its own tags, where it has any
  std::vector<std::string> predicted;
};

struct ReportData {
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
std::string report_html(const ReportData& data);

/// Text with &, <, > and quotes replaced, and what XML cannot hold shown as U+FFFD.
std::string escape_html(std::string_view text);

/// A curve with axes, as <svg>. @param best  index to mark; -1: none
std::string curve_svg(const std::string& title, const std::vector<double>& values, int best);

/// "leave [taipei departure] on ..." for a terminal.
std::string bracketed(const data::Sentence& sentence, const std::vector<std::string>& tags);

/// Precision, recall and F1 of each slot and of all, for a terminal.
std::string slot_table(const data::ChunkScores& scores);

}  // namespace seqgpu::tool
