#include <fmt/format.h>

#include <chrono>
#include <utility>

#include "commands.hpp"
#include "device.hpp"
#include "progress.hpp"
#include "report.hpp"
#include "run_folder.hpp"
#include "seqgpu/data/travel_corpus.hpp"
#include "tagger.hpp"
#include "training.hpp"

namespace seqgpu::tool {
namespace {

constexpr int kSentences = 5000;
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

void run_demo(const RunFolder& folder, std::int64_t epochs, std::int64_t threads, const std::string& program) {
  const auto start = std::chrono::steady_clock::now();
  const DeviceChoice choice = take_device(threads);
  fmt::print(
      "A bidirectional LSTM learns to fill the slots of travel requests, such as destination and departure.\n"
      "Device: {}\n\n",
      to_line(choice));

  data::TravelCorpus made = data::travel_corpus(kCorpusSeed, kSentences);
  Corpus corpus{std::move(made.train), std::move(made.dev), std::move(made.test)};
  Config config = demo_config(folder, epochs);
  config.threads = threads;
  folder.create();
  folder.clear();
  data::write_iob(config.train, corpus.train);
  data::write_iob(config.dev, corpus.dev);
  data::write_iob(config.test, corpus.test);
  write_text(folder.config(), to_toml(config));

  Tagger tagger(choice.device, config, build_lexicon(corpus.train, config));
  fmt::print("Data: {} sentences to learn from, {} to choose the best epoch, {} to test; {} words, {} tags.\n",
             corpus.train.size(), corpus.dev.size(), corpus.test.size(), tagger.lexicon().vocabulary.size(),
             tagger.lexicon().labels.size());
  fmt::print("Model: {} parameters; batches of {} sentences.\n\n", tagger.parameters().elements(), config.batch);
  std::fflush(stdout);

  ReportData report;
  report.training = train_tagger(tagger, corpus, {&folder, false, stdout});
  report.predicted = tagger.label(corpus.test);
  report.test = corpus.test;
  const data::ChunkScores scores = data::conlleval(tag_lists(corpus.test), report.predicted);
  const auto [unseen, unseen_tags] = with_unseen_words(corpus.test, report.predicted, tagger.lexicon().vocabulary);
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
  write_text(folder.report(), report_html(report));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print(
      "\nDone in {0}. Open {1} for curves and confusions.\nTry next:\n"
      "  echo \"leave oslo for taipei on friday\" | {2} predict --run {3}\n"
      "  {2} train --train {3}/train.iob --dev {3}/dev.iob --test {3}/test.iob --model gru --run runs/gru\n",
      clock_text(seconds), folder.report(), program, folder.path);
}

}  // namespace

void add_demo(CLI::App& app, const std::string& program) {
  CLI::App* command =
      app.add_subcommand("demo", "Generate a travel-booking corpus, train a tagger and show what it does");
  auto folder = std::make_shared<RunFolder>(RunFolder{"runs/demo"});
  auto epochs = std::make_shared<std::int64_t>(20);
  auto threads = std::make_shared<std::int64_t>(0);
  command->add_option("--run", folder->path, "folder for the results")->capture_default_str();
  command->add_option("--epochs", *epochs, "passes over the training set")->capture_default_str();
  command->add_option("--threads", *threads, "0: all that the machine allows")->check(CLI::Range(0, 1024));
  command->callback([=] { run_demo(*folder, *epochs, *threads, program); });
}

}  // namespace seqgpu::tool
