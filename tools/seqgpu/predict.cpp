#include "tools/seqgpu/speech/predict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "seqgpu/error.hpp"
#include "tools/seqgpu/tagging/predict.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::array kTaggerFormats{"lines", "iob"};
constexpr std::array kRecogniserFormats{"lines", "times", "json"};

// The first of the formats is the default.
std::string checked_format(const std::string& given, std::span<const char* const> formats) {
  if (given.empty()) return formats.front();
  if (std::find(formats.begin(), formats.end(), given) != formats.end()) return given;
  throw Error(ErrorCode::invalid_argument, "predict", "--format",
              fmt::format("must be one of {} for this model, got \"{}\"", fmt::join(formats, ", "), given));
}

void run_predict(const RunFolder& folder, PredictOptions options) {
  const DeviceChoice choice = take_device();
  fmt::print(stderr, "device: {}\n", to_line(choice));
  const ModelFile model = read_model(folder.model());
  if (model.is_tagger()) {
    options.format = checked_format(options.format, kTaggerFormats);
    predict_tags(model, choice.device, options);
  } else {
    options.format = checked_format(options.format, kRecogniserFormats);
    predict_transcripts(model, choice.device, options);
  }
}

}  // namespace

void add_predict(CLI::App& app) {
  CLI::App* command = app.add_subcommand("predict", "Label sentences, or transcribe sound files");
  auto folder = std::make_shared<RunFolder>();
  auto options = std::make_shared<PredictOptions>();
  command->add_option("--run", folder->path, "folder of a training run")->required();
  command->add_option("files", options->files, "sound files");
  command->add_option("--input", options->input, "sentences, or a manifest or list of sound files; - for stdin")
      ->capture_default_str();
  command->add_option("--format", options->format,
                      "of a tagger's input: lines (a sentence a line, the default) or iob (a word a line, blank line "
                      "between); of a recogniser's output: lines (path<TAB>transcript, the default), times (one line "
                      "a symbol: path, seconds, symbol, its probability) or json (one object a line)");
  command->add_option("--skip-bad", options->skip_bad, "leave out up to this many sound files that cannot be used");
  options->decoding.add_section_to(*command, "decoding");
  command->footer("A tagger prints word<TAB>tag, and a blank line after each sentence.");
  command->callback([=] { run_predict(*folder, *options); });
}

}  // namespace seqgpu::tool
