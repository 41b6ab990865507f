#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "seqgpu/data/conlleval.hpp"
#include "tagger.hpp"

namespace seqgpu::tool {
namespace {

nlohmann::json to_json(const data::TypeScore& score) {
  return {{"gold", score.gold},           {"found", score.found},   {"correct", score.correct},
          {"precision", score.precision}, {"recall", score.recall}, {"f1", score.f1}};
}

void run_eval(const RunFolder& folder, const std::string& path, std::int64_t skip_bad, bool as_json) {
  const DeviceChoice choice = take_device();
  fmt::print(stderr, "device: {}\n", to_line(choice));
  const auto tagger = load_model(folder.model(), choice.device);
  const std::vector<data::Sentence> sentences = load_sentences(path, skip_bad);
  const data::ChunkScores scores = data::conlleval(tag_lists(sentences), tagger->label(sentences));
  if (!as_json) {
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

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval", "Score a trained tagger on an IOB file, by conlleval's rules");
  struct Options {
    RunFolder folder;
    std::string data;
    std::int64_t skip_bad = 0;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  command->add_option("--run", options->folder.path, "folder of a training run")->required();
  command->add_option("--data", options->data, "IOB file")->required();
  command->add_option("--skip-bad", options->skip_bad, "leave out up to this many malformed lines");
  command->add_flag("--json", options->json, "one line of JSON instead of conlleval's report");
  command->callback([options] { run_eval(options->folder, options->data, options->skip_bad, options->json); });
}

}  // namespace seqgpu::tool
