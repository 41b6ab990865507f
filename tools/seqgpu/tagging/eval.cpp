#include "eval.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "seqgpu/data/conlleval.hpp"
#include "tagger.hpp"

namespace seqgpu::tool {
namespace {

nlohmann::json to_json(const data::TypeScore& score) {
  return {{"gold", score.gold},           {"found", score.found},   {"correct", score.correct},
          {"precision", score.precision}, {"recall", score.recall}, {"f1", score.f1}};
}

}  // namespace

void eval_tagger(const ModelFile& model, const Device& device, const EvalOptions& options) {
  options.decoding.over(model.config());  // refuses flags that are for recognisers
  const auto tagger = load_tagger(model, device);
  const std::vector<data::Sentence> sentences = load_sentences(options.data, options.skip_bad);
  const data::ChunkScores scores = data::conlleval(tag_lists(sentences), tagger->label(sentences));
  if (!options.json) {
    fmt::print("{}", data::conlleval_report(scores));
    return;
  }
  nlohmann::json result{{"overall", to_json(scores.overall)},
                        {"accuracy", scores.accuracy},
                        {"tokens", scores.tokens},
                        {"types", nlohmann::json::object()}};
  for (const auto& [type, score] : scores.types) result["types"][type] = to_json(score);
  fmt::print("{}\n", result.dump());
}

}  // namespace seqgpu::tool
