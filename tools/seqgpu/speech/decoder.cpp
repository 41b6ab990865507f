#include "decoder.hpp"

#include <sstream>
#include <utility>

#include "seqgpu/error.hpp"
#include "tools/seqgpu/run_folder.hpp"

namespace seqgpu::tool {
namespace {

constexpr const char* kSpace = "<space>";  // how a language model of symbols spells it: ARPA words cannot hold one

// One word a line.
std::vector<std::string> read_words(const std::string& path, const std::vector<std::string>& symbols) {
  std::istringstream lines(read_text(path));
  std::vector<std::string> words;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    try {
      decode::Lexicon::spelled({{line}}, symbols);
    } catch (const Error& error) {
      throw Error(ErrorCode::invalid_file, "lexicon", path + ":" + std::to_string(number), error.what());
    }
    words.push_back(line);
  }
  if (words.empty()) throw Error(ErrorCode::invalid_file, "lexicon", path, "holds no word");
  return words;
}

std::shared_ptr<const decode::Language> language_of(const Config& config, const data::SymbolTable& symbols) {
  if (config.lm.empty() && config.lexicon.empty() && config.insertion == 0) return nullptr;
  auto language = std::make_shared<decode::Language>();
  const bool of_words = config.lm_unit == "words" && symbols.unit() == data::TranscriptUnit::characters;
  for (std::int32_t id = 0; id < symbols.size(); ++id) {
    const std::string& symbol = symbols.symbol(id);
    if (symbol == " " && of_words) language->separator = id;
    language->symbols.push_back(symbol == " " && !of_words ? kSpace : symbol);
  }
  language->model_weight = config.lm_weight;
  language->insertion = config.insertion;
  if (!config.lm.empty()) {
    language->model = std::make_shared<const decode::NgramModel>(decode::NgramModel::read(config.lm));
  }
  if (!config.lexicon.empty()) {
    if (language->separator < 0) {
      throw Error(ErrorCode::invalid_argument, "decode", "--lexicon",
                  "needs a model of characters that knows the space, and --lm-unit words");
    }
    language->lexicon = std::make_shared<const decode::Lexicon>(
        decode::Lexicon::spelled(read_words(config.lexicon, language->symbols), language->symbols));
  }
  return language;
}

}  // namespace

Decoder::Decoder(const Config& config, const data::SymbolTable& symbols) : beam_(config.decoder == "beam") {
  greedy_.threads = options_.threads = static_cast<int>(config.threads);
  if (!beam_) return;
  options_.width = config.beam_width;
  options_.top_k = config.top_k;
  options_.language = language_of(config, symbols);
}

Decoder Decoder::greedy(int threads) {
  Decoder decoder;
  decoder.greedy_.threads = threads;
  return decoder;
}

std::vector<decode::Hypothesis> Decoder::operator()(const decode::FramesView& frames) const {
  if (!beam_) return decode::greedy(frames, greedy_);
  std::vector<decode::Hypothesis> best;
  for (std::vector<decode::Hypothesis>& hypotheses : decode::beam_search(frames, options_)) {
    best.push_back(hypotheses.empty() ? decode::Hypothesis{} : std::move(hypotheses.front()));
  }
  return best;
}

}  // namespace seqgpu::tool
