#include "tools/seqgpu/speech/eval.hpp"

#include <fmt/format.h>

#include "commands.hpp"
#include "device.hpp"
#include "run_folder.hpp"
#include "tools/seqgpu/tagging/eval.hpp"

namespace seqgpu::tool {
namespace {

void run_eval(const RunFolder& folder, const EvalOptions& options) {
  const DeviceChoice choice = take_device();
  fmt::print(stderr, "device: {}\n", to_line(choice));
  const ModelFile model = read_model(folder.model());
  (model.is_tagger() ? eval_tagger : eval_recogniser)(model, choice.device, options);
}

}  // namespace

void add_eval(CLI::App& app) {
  CLI::App* command = app.add_subcommand("eval",
                                         "Score a trained model: a tagger on an IOB file by conlleval's rules, a "
                                         "recogniser on a manifest by sclite's");
  auto folder = std::make_shared<RunFolder>();
  auto options = std::make_shared<EvalOptions>();
  command->add_option("--run", folder->path, "folder of a training run")->required();
  command->add_option("--data", options->data, "IOB file or manifest")->required();
  command->add_option("--skip-bad", options->skip_bad, "leave out up to this many malformed lines or recordings");
  command->add_flag("--json", options->json, "one line of JSON instead of a table");
  options->decoding.add_section_to(*command, "decoding");
  command->callback([=] { run_eval(*folder, *options); });
}

}  // namespace seqgpu::tool
