#include "demo.hpp"

#include <memory>

#include "commands.hpp"

namespace seqgpu::tool {

void add_demo(CLI::App& app, const std::string& program) {
  CLI::App* command = app.add_subcommand("demo", "Generate a corpus, train on it and show what was learnt");
  auto which = std::make_shared<std::string>("slots");
  auto options = std::make_shared<DemoOptions>();
  options->program = program;
  command
      ->add_option("what", *which, "slots: tag travel requests; speech: transcribe chords in noise, from sound files")
      ->capture_default_str()
      ->check(CLI::IsMember({"slots", "speech"}));
  command->add_option("--run", options->run, "folder for the results; default: runs/demo, or runs/demo-speech");
  command->add_option("--epochs", options->epochs, "passes over the training set; 0: what suits the demo")
      ->check(CLI::Range(0, 1'000'000));
  command->add_option("--threads", options->threads, "0: all that the machine allows")->check(CLI::Range(0, 1024));
  command->callback([=] { (*which == "speech" ? demo_speech : demo_slots)(*options); });
}

}  // namespace seqgpu::tool
