#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <sstream>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "tagger.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kSentencesAtOnce = 512;

struct PredictOptions {
  RunFolder folder;
  std::string input = "-", format = "lines";
};

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

void run_predict(const PredictOptions& options) {
  const DeviceChoice choice = take_device();
  fmt::print(stderr, "device: {}\n", to_line(choice));
  const auto tagger = load_model(options.folder.model(), choice.device);
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

}  // namespace

void add_predict(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("predict", "Label sentences: word<TAB>tag, and a blank line after each sentence");
  auto options = std::make_shared<PredictOptions>();
  command->add_option("--run", options->folder.path, "folder of a training run")->required();
  command->add_option("--input", options->input, "file, or - for stdin")->capture_default_str();
  command->add_option("--format", options->format, "lines: a sentence a line; iob: a word a line, blank line between")
      ->capture_default_str()
      ->check(CLI::IsMember({"lines", "iob"}));
  command->callback([options] { run_predict(*options); });
}

}  // namespace seqgpu::tool
