// Any bytes: parse_iob either refuses them as invalid_file or gives sentences that writing, conversion, scoring and
// vocabularies hold on to.
#include <cstdint>
#include <string_view>

#include "fuzz/refusals.hpp"
#include "seqgpu/data/conlleval.hpp"
#include "seqgpu/data/iob.hpp"
#include "seqgpu/data/vocabulary.hpp"

namespace {

using namespace seqgpu::data;

using fuzz::only_invalid_file;
using fuzz::require;

void check(const std::vector<Sentence>& sentences) {
  const auto back = parse_iob(format_iob(sentences), "written");
  require(back.size() == sentences.size());
  for (std::size_t i = 0; i < back.size(); ++i) require(back[i].tokens == sentences[i].tokens);

  const auto iob2 = convert_scheme(sentences, TagScheme::iobes, TagScheme::iob2);  // iobes reads all prefixes
  const auto iobes = convert_scheme(iob2, TagScheme::iob2, TagScheme::iobes);
  const auto again = convert_scheme(iobes, TagScheme::iobes, TagScheme::iob2);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < iob2.size(); ++i) {
    require(again[i].tokens == iob2[i].tokens);
    rows.push_back(tags_of(iob2[i]));
    require(chunks_of(rows.back()) == chunks_of(rows.back(), ChunkMode::strict));
  }
  const auto scores = conlleval(rows, rows);
  require(scores.overall.gold == scores.overall.correct && scores.tokens == scores.correct_tags);
  conlleval_report(scores);

  detect_scheme(sentences);

  const auto vocabulary = Vocabulary::build(sentences);
  require(Vocabulary::from_string(vocabulary.to_string()).to_string() == vocabulary.to_string());
  const auto trigrams = TrigramFeatures::listed(sentences);
  require(TrigramFeatures::from_string(trigrams.to_string()).size() == trigrams.size());
}

// What was read from text is the same after writing, and answers for any word.
template <class Table>
Table back_and_forth(std::string_view text) {
  const auto table = Table::from_string(text);
  require(Table::from_string(table.to_string()).to_string() == table.to_string());
  return table;
}

void check_vocabulary(std::string_view text) {
  const auto vocabulary = back_and_forth<Vocabulary>(text);
  require(vocabulary.size() >= 1);
  for (std::int32_t id = 0; id < vocabulary.size(); ++id)
    require(vocabulary.id(vocabulary.word(id)) < vocabulary.size());
  require(vocabulary.id(text) < vocabulary.size());
}

void check_labels(std::string_view text) {
  const auto labels = back_and_forth<Labels>(text);
  for (std::int32_t id = 0; id < labels.size(); ++id) require(labels.id(labels.tag(id)) == id);
}

void check_trigrams(std::string_view text) {
  const auto trigrams = back_and_forth<TrigramFeatures>(text);
  for (const std::int32_t id : trigrams.ids(text.substr(0, 64))) require(id >= 0 && id < trigrams.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  only_invalid_file([&] { check(parse_iob(text, "fuzz")); });
  only_invalid_file([&] { check(parse_iob(text, "fuzz", {.skip_bad = 4}).sentences); });
  only_invalid_file([&] { check_vocabulary(text); });
  only_invalid_file([&] { check_labels(text); });
  only_invalid_file([&] { check_trigrams(text); });
  return 0;
}
