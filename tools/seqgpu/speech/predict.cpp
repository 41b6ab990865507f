#include "predict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "recogniser.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kFilesAtOnce = 256;

struct SoundList {
  std::string name;
  std::vector<data::Utterance> files;  // without transcripts
};

// Of each line what stands before a tab, so that a manifest will do. Relative paths start from the list's folder.
SoundList read_list(const std::string& input) {
  std::ifstream file;
  const bool from_stdin = input == "-";
  if (!from_stdin) file.open(input);
  std::istream& in = from_stdin ? std::cin : file;
  const std::filesystem::path folder = from_stdin ? "" : std::filesystem::path(input).parent_path();
  SoundList list{from_stdin ? "stdin" : input, {}};
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (!line.empty() && line.back() == '\r') line.pop_back();
    line = line.substr(0, line.find('\t'));
    if (line.empty() || line.front() == '#') continue;
    list.files.push_back({(folder / line).string(), "", number});
  }
  if (in.bad() || (!from_stdin && !file.is_open())) {
    throw Error(ErrorCode::io_failure, "predict", list.name, "cannot be read");
  }
  return list;
}

SoundList list_of(const PredictOptions& options) {
  if (options.files.empty()) return read_list(options.input);
  SoundList list{"arguments", {}};
  for (const std::string& path : options.files) {
    list.files.push_back({path, "", static_cast<int>(list.files.size()) + 1});
  }
  return list;
}

// Every symbol with the second at which it begins and its probability there.
class Printer {
 public:
  Printer(const std::string& format, const data::SymbolTable& symbols, double frame_ms)
      : format_(format), symbols_(symbols), frame_ms_(frame_ms) {}

  void operator()(const std::string& path, const Transcription& said) const {
    if (format_ == "lines") {
      fmt::print("{}\t{}\n", path, said.text);
    } else if (format_ == "times") {
      for (std::size_t i = 0; i < said.hypothesis.labels.size(); ++i) {
        fmt::print("{}\t{:.3f}\t{}\t{:.4f}\n", path, seconds(said, i), symbol(said, i), probability(said, i));
      }
    } else {
      nlohmann::json symbols = nlohmann::json::array();
      for (std::size_t i = 0; i < said.hypothesis.labels.size(); ++i) {
        symbols.push_back(
            {{"symbol", symbol(said, i)}, {"seconds", seconds(said, i)}, {"probability", probability(said, i)}});
      }
      const nlohmann::json line{
          {"path", path}, {"text", said.text}, {"score", said.hypothesis.score}, {"symbols", symbols}};
      fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
    }
  }

 private:
  const std::string& symbol(const Transcription& said, std::size_t i) const {
    return symbols_.symbol(said.hypothesis.labels[i]);
  }
  double seconds(const Transcription& said, std::size_t i) const {
    return said.hypothesis.frames[i] * frame_ms_ / 1000;
  }
  static double probability(const Transcription& said, std::size_t i) { return std::exp(said.hypothesis.log_probs[i]); }

  const std::string& format_;
  const data::SymbolTable& symbols_;
  double frame_ms_;
};

}  // namespace

void predict_transcripts(const ModelFile& model, const Device& device, const PredictOptions& options) {
  LoadedRecogniser loaded = load_recogniser(model, device);
  Recogniser& recogniser = *loaded.recogniser;
  const Decoder decoder(options.decoding.over(recogniser.config()), recogniser.symbols());
  const Printer print(options.format, recogniser.symbols(), loaded.front_end.frame_ms());
  const SoundList list = list_of(options);
  std::int64_t may_skip = options.skip_bad;
  for (std::size_t begin = 0; begin < list.files.size(); begin += kFilesAtOnce) {
    const auto first = list.files.begin() + static_cast<std::ptrdiff_t>(begin);
    const std::vector<data::Utterance> files(
        first, first + static_cast<std::ptrdiff_t>(std::min(kFilesAtOnce, list.files.size() - begin)));
    Recordings recordings =
        loaded.front_end.read(list.name, files, recogniser.symbols(), data::UnknownSymbols::refused, may_skip);
    may_skip -= static_cast<std::int64_t>(files.size() - recordings.size());
    loaded.front_end.normalise(recordings);
    const auto transcriptions = recogniser.transcribe(recordings.examples, decoder);
    for (std::size_t i = 0; i < recordings.size(); ++i) print(recordings.utterances[i].path, transcriptions[i]);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      throw Error(ErrorCode::io_failure, "predict", "stdout", "cannot be written");
    }
  }
}

}  // namespace seqgpu::tool
