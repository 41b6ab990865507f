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

  const auto vocabulary = Vocabulary::build(sentences);
  require(Vocabulary::from_string(vocabulary.to_string()).to_string() == vocabulary.to_string());
  const auto trigrams = TrigramFeatures::listed(sentences);
  require(TrigramFeatures::from_string(trigrams.to_string()).size() == trigrams.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  only_invalid_file([&] { check(parse_iob(text, "fuzz")); });
  only_invalid_file([&] { check(parse_iob(text, "fuzz", {.skip_bad = 4}).sentences); });
  only_invalid_file([&] { Vocabulary::from_string(text); });
  only_invalid_file([&] { Labels::from_string(text); });
  only_invalid_file([&] { TrigramFeatures::from_string(text); });
  return 0;
}
