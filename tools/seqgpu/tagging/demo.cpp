#include "tools/seqgpu/demo.hpp"

#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "report.hpp"
#include "seqgpu/data/travel_corpus.hpp"
#include "task.hpp"
#include "tools/seqgpu/device.hpp"
#include "tools/seqgpu/progress.hpp"
#include "tools/seqgpu/run_folder.hpp"
#include "tools/seqgpu/run_lock.hpp"
#include "tools/seqgpu/training.hpp"

namespace seqgpu::tool {
namespace {

constexpr int kSentences = 5000;
constexpr std::int64_t kEpochs = 20;
constexpr std::uint64_t kCorpusSeed = 1;

Config demo_config(const RunFolder& folder, std::int64_t epochs) {
  Config config;
  config.train = folder.path + "/train.iob";
  config.dev = folder.path + "/dev.iob";
  config.test = folder.path + "/test.iob";
  config.embedding = 64;
  config.hidden = 64;
  config.epochs = epochs;
  config.word_dropout = 0.2;
  return resolve(config);
}

// Test sentences with a word that is not in the vocabulary, and their predicted tags.
std::pair<std::vector<data::Sentence>, TagLists> with_unseen_words(const std::vector<data::Sentence>& test,
                                                                   const TagLists& predicted,
                                                                   const data::Vocabulary& vocabulary) {
  std::pair<std::vector<data::Sentence>, TagLists> part;
  for (std::size_t i = 0; i < test.size(); ++i) {
    for (const data::Token& token : test[i].tokens) {
      if (vocabulary.id(token.word) != data::Vocabulary::kUnknown) continue;
      part.first.push_back(test[i]);
      part.second.push_back(predicted[i]);
      break;
    }
  }
  return part;
}

// Prints each pair of sentences in which the same words take different slots, and returns them with their labels.
std::vector<LabelledSentence> show_minimal_pairs(Tagger& tagger) {
  std::vector<LabelledSentence> examples;
  for (const data::MinimalPair& pair : data::travel_minimal_pairs()) {
    const std::vector<data::Sentence> both{pair.first, pair.second};
    TagLists tags = tagger.label(both);
    fmt::print("  \"{}\"\n", pair.shared);
    for (std::size_t i = 0; i < both.size(); ++i) {
      const bool right = tags[i] == data::tags_of(both[i]);
      fmt::print("    {}{}\n", bracketed(both[i], tags[i]), right ? "" : "    <- wrong");
      examples.push_back({both[i], std::move(tags[i])});
    }
  }
  return examples;
}

}  // namespace

void demo_slots(const DemoOptions& options) {
  const RunFolder folder{options.run.empty() ? "runs/demo" : options.run};
  const auto start = std::chrono::steady_clock::now();
  const DeviceChoice choice = take_device(options.threads);
  fmt::print(
      "A bidirectional LSTM learns to fill the slots of travel requests, such as destination and departure.\n"
      "Device: {}\n\n",
      to_line(choice));

  data::TravelCorpus made = data::travel_corpus(kCorpusSeed, kSentences);
  Corpus corpus{std::move(made.train), std::move(made.dev), std::move(made.test)};
  Config config = demo_config(folder, options.epochs > 0 ? options.epochs : kEpochs);
  config.threads = options.threads;
  const RunLock lock(folder.path);
  folder.clear();
  data::write_iob(config.train, corpus.train);
  data::write_iob(config.dev, corpus.dev);
  data::write_iob(config.test, corpus.test);
  write_text(folder.config(), to_toml(config));

  TaggingTask task(choice.device, config, std::move(corpus));
  Tagger& tagger = task.tagger();
  const std::vector<data::Sentence>& test = task.corpus().test;
  fmt::print("Data: {} sentences to learn from, {} to choose the best epoch, {} to test; {} words, {} tags.\n",
             task.corpus().train.size(), task.corpus().dev.size(), test.size(), tagger.lexicon().vocabulary.size(),
             tagger.lexicon().labels.size());
  fmt::print("Model: {} parameters; batches of {} sentences.\n\n", tagger.parameters().elements(), config.batch);
  std::fflush(stdout);

  TaggingReport report;
  report.training = train(task, {&folder, false, stdout});
  report.predicted = tagger.label(test);
  report.test = test;
  const data::ChunkScores scores = data::conlleval(tag_lists(test), report.predicted);
  const auto [unseen, unseen_tags] = with_unseen_words(test, report.predicted, tagger.lexicon().vocabulary);
  const data::ChunkScores unseen_scores = data::conlleval(tag_lists(unseen), unseen_tags);
  fmt::print("\nTest, with the parameters of epoch {} (percent):\n{}", report.training.best_epoch, slot_table(scores));
  fmt::print("  F1 on the {} test sentences with a word never seen in training: {:.2f}\n\n", unseen.size(),
             100 * unseen_scores.overall.f1);

  fmt::print("The same words take another slot where the words around them say so:\n");
  report.examples = show_minimal_pairs(tagger);

  report.title = "seqgpu demo: slots of travel requests";
  report.summary = fmt::format("BiLSTM, {} parameters; test F1 {:.2f}, on sentences with unseen words {:.2f}.",
                               tagger.parameters().elements(), 100 * scores.overall.f1, 100 * unseen_scores.overall.f1);
  report.config = config;
  write_text(folder.report(), tagging_report(report));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print(
      "\nDone in {0}. Open {1} for curves and confusions.\nTry next:\n"
      "  echo \"leave oslo for taipei on friday\" | {2} predict --run {3}\n"
      "  {2} train --train {3}/train.iob --dev {3}/dev.iob --test {3}/test.iob --model gru --run runs/gru\n",
      clock_text(seconds), folder.report(), options.program, folder.path);
}

}  // namespace seqgpu::tool
