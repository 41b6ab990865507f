#include "eval.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "recogniser.hpp"
#include "scoring.hpp"

namespace seqgpu::tool {
namespace {

nlohmann::json to_json(const data::ErrorCounts& counts) {
  return {{"rate", counts.rate()},
          {"substitutions", counts.substitutions},
          {"deletions", counts.deletions},
          {"insertions", counts.insertions},
          {"reference", counts.reference}};
}

nlohmann::json to_json(const SpeechScores& scores) {
  nlohmann::json confusions = nlohmann::json::array();
  for (const Confusion& confusion : scores.confusions) {
    confusions.push_back({confusion.reference, confusion.hypothesis, confusion.count});
  }
  nlohmann::json unknown = nlohmann::json::array();
  for (const UnknownSymbol& symbol : scores.unknown) unknown.push_back({symbol.text, symbol.count});
  return {{"words", to_json(scores.words)},
          {"characters", to_json(scores.characters)},
          {"recordings", scores.recordings},
          {"wrong_recordings", scores.wrong_recordings},
          {"loss", scores.loss},
          {"confusions", confusions},
          {"unknown_symbols", scores.unknown_count()},
          {"unknown", unknown}};
}

}  // namespace

void eval_recogniser(const ModelFile& model, const Device& device, const EvalOptions& options) {
  LoadedRecogniser loaded = load_recogniser(model, device);
  Recogniser& recogniser = *loaded.recogniser;
  const Decoder decoder(options.decoding.over(recogniser.config()), recogniser.symbols());
  data::Manifest manifest = load_manifest(options.data, options.skip_bad);
  Recordings recordings = loaded.front_end.read(manifest.name, std::move(manifest.utterances), recogniser.symbols(),
                                                data::UnknownSymbols::set_aside, options.skip_bad - manifest.bad_lines);
  loaded.front_end.normalise(recordings);
  const auto transcriptions = recogniser.transcribe(recordings.examples, decoder);
  const SpeechScores scores = score(recordings, transcriptions, recogniser.symbols().unit());
  if (options.json) {
    fmt::print("{}\n", to_json(scores).dump());
  } else {
    fmt::print("{}", score_table(scores));
  }
}

}  // namespace seqgpu::tool
