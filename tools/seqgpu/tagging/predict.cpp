#include "predict.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <sstream>

#include "seqgpu/error.hpp"
#include "tagger.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kSentencesAtOnce = 512;

void append_words(data::Sentence& sentence, const std::string& line, bool first_only) {
  std::istringstream words(line);
  for (std::string word; words >> word;) {
    sentence.tokens.push_back({word, "O"});
    if (first_only) return;
  }
}

void label_and_print(Tagger& tagger, std::vector<data::Sentence>& sentences) {
  const TagLists tags = tagger.label(sentences);
  for (std::size_t i = 0; i < sentences.size(); ++i) {
    for (std::size_t t = 0; t < tags[i].size(); ++t) {
      fmt::print("{}\t{}\n", sentences[i].tokens[t].word, tags[i][t]);
    }
    fmt::print("\n");
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    throw Error(ErrorCode::io_failure, "predict", "stdout", "cannot be written");
  }
  sentences.clear();
}

}  // namespace

void predict_tags(const ModelFile& model, const Device& device, const PredictOptions& options) {
  if (!options.files.empty()) {
    throw Error(ErrorCode::invalid_argument, "predict", options.files.front(),
                "is for a recogniser; this model tags words: give it sentences by --input");
  }
  options.decoding.over(model.config());  // refuses flags that are for recognisers
  const auto tagger = load_tagger(model, device);
  std::ifstream file;
  const bool from_stdin = options.input == "-";
  if (!from_stdin) {
    file.open(options.input);
    if (!file) throw Error(ErrorCode::io_failure, "predict", options.input, "cannot be read");
  }
  std::istream& in = from_stdin ? std::cin : file;
  const bool answer_each = from_stdin && isatty(STDIN_FILENO) == 1;
  const bool one_word_a_line = options.format == "iob";

  std::vector<data::Sentence> waiting;
  data::Sentence sentence;
  const auto end_sentence = [&] {
    if (!sentence.tokens.empty()) waiting.push_back(std::move(sentence));
    sentence = {};
    if (!waiting.empty() && (answer_each || waiting.size() >= kSentencesAtOnce)) label_and_print(*tagger, waiting);
  };
  for (std::string line; std::getline(in, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    append_words(sentence, line, one_word_a_line);
    if (!one_word_a_line || line.empty()) end_sentence();
  }
  if (in.bad()) throw Error(ErrorCode::io_failure, "predict", options.input, "cannot be read");
  end_sentence();
  if (!waiting.empty()) label_and_print(*tagger, waiting);
}

}  // namespace seqgpu::tool
