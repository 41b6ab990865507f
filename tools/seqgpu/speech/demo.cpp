#include "tools/seqgpu/demo.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "report.hpp"
#include "seqgpu/data/tone_corpus.hpp"
#include "task.hpp"
#include "tools/seqgpu/device.hpp"
#include "tools/seqgpu/progress.hpp"
#include "tools/seqgpu/run_folder.hpp"
#include "tools/seqgpu/run_lock.hpp"
#include "tools/seqgpu/training.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::int64_t kEpochs = 8;
constexpr std::size_t kShown = 12;

// Sixteen chords of eight tones, up to half of each under the next one.
data::ToneCorpusOptions corpus_options() {
  data::ToneCorpusOptions options;
  options.train_utterances = 1500;
  options.test_utterances = 300;
  options.letters = 16;
  options.overlap = 0.5;
  options.snr_db = 5;
  return options;
}

Config demo_config(const data::ToneCorpusFiles& files, const DemoOptions& options) {
  Config config;
  config.task = "transcribe";
  config.train = files.train_manifest;
  config.test = files.test_manifest;
  config.dev_fraction = 0.1;
  config.mel_bins = 40;
  config.low_frequency = 300;
  config.stack = 3;
  config.stride = 3;
  config.hidden = 64;
  config.input_dropout = 0;
  config.dropout = 0.1;
  config.batch = 8;
  config.rate = 0.005;
  config.schedule = "cosine";
  config.schedule_steps = 50;
  config.epochs = options.epochs > 0 ? options.epochs : kEpochs;
  config.threads = options.threads;
  return resolve(config);
}

// What was said beside what was heard; the wrong ones first.
void show_examples(const Recordings& test, const std::vector<Transcription>& transcriptions) {
  std::vector<std::size_t> order;
  for (const bool wrong : {true, false}) {
    for (std::size_t i = 0; i < test.size(); ++i) {
      if ((transcriptions[i].text != test.utterances[i].transcript) == wrong) order.push_back(i);
    }
  }
  fmt::print("  {:<12} {:<12} {}\n", "said", "heard", "recording");
  for (std::size_t i = 0; i < std::min(kShown, order.size()); ++i) {
    const data::Utterance& said = test.utterances[order[i]];
    const std::string& heard = transcriptions[order[i]].text;
    fmt::print("  {:<12} {:<12} {}{}\n", said.transcript, heard, said.path,
               heard == said.transcript ? "" : "    <- wrong");
  }
}

}  // namespace

void demo_speech(const DemoOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const RunFolder folder{options.run.empty() ? "runs/demo-speech" : options.run};
  const DeviceChoice choice = take_device(options.threads);
  fmt::print(
      "A bidirectional LSTM learns, by CTC, to write down a language of chords that overlap, out of tune, in noise.\n"
      "Device: {}\n\n",
      to_line(choice));
  const RunLock lock(folder.path);
  folder.clear();
  const data::ToneCorpusFiles files = data::write_tone_corpus(folder.path + "/sound", corpus_options());
  SpeechTask task(choice.device, load_speech_corpus(demo_config(files, options)));
  write_text(folder.config(), to_toml(task.config()));
  fmt::print("Data: {}, in {}/sound.\nModel: {} parameters; batches of {} recordings.\n\n", task.describe(),
             folder.path, task.parameters().elements(), task.config().batch);
  std::fflush(stdout);

  const TrainingResult training = train(task, {&folder, false, stdout});
  nlohmann::json result;
  task.finish(folder, training, result);
  const Recordings& test = task.corpus().test;
  const Decoder decoder(task.config(), task.corpus().symbols);
  const auto transcriptions = task.recogniser().transcribe(test.examples, decoder);
  const SpeechScores scores = score(test, transcriptions, task.corpus().symbols.unit());
  fmt::print("\nTest, with the parameters of epoch {}:\n{}\n", training.best_epoch, score_table(scores));
  show_examples(test, transcriptions);

  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print(
      "\nDone in {0}. Open {1} for curves, confusions and pictures of what the network hears.\nTry next:\n"
      "  {2} predict --run {3} --format times {4}\n"
      "  {2} eval --run {3} --data {3}/sound/test.tsv --decoder beam\n",
      clock_text(seconds), folder.report(), options.program, folder.path, test.utterances.front().path);
}

}  // namespace seqgpu::tool
