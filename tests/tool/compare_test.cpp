// A comparison: what it says, what it refuses, and that one killed at any moment ends with the table of one that was
// not.
#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>
#include <sstream>

#include "seqgpu/error.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/tool/child.hpp"
#include "tests/tool/small_data.hpp"
#include "tools/seqgpu/comparison.hpp"

namespace seqgpu::tool {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using std::chrono::milliseconds;
using test::Words;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr int kKills = 12;

struct Case {
  const char* name;
  void (*write_data)(const std::string& folder);
  Words flags;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const Case kTaggers{
    "taggers",
    test::write_sentences,
    {"--models", "elman,bigru", "--embedding", "12", "--hidden", "12", "--batch", "8", "--set", "elman.hidden=10"}};
const Case kTwoAtATime{
    "two_at_a_time",
    test::write_sentences,
    {"--models", "elman,bigru", "--embedding", "12", "--hidden", "12", "--batch", "8", "--jobs", "2"}};
const Case kRecognisers{"recognisers",
                        test::write_sounds,
                        {"--task", "transcribe", "--models", "bielman,lstm", "--hidden", "12", "--stack", "4",
                         "--stride", "4", "--batch", "4", "--feature-noise", "0.1", "--set", "lstm.mel_bins=20"}};

struct Said {
  int code = -1;
  std::string out, err, table;
};

class Compare : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { GetParam().write_data(folder_.path()); }
  void TearDown() override {
    if (running_ > 0) test::kill_after(running_, milliseconds(0));
  }

  Words words(const std::string& run, const Words& more = {}) const {
    const Words start{SEQGPU_TOOL_FILE,
                      "compare",
                      "--run",
                      folder_ / run,
                      "--train",
                      folder_ / "train.tsv",
                      "--dev",
                      folder_ / "dev.tsv",
                      "--test",
                      folder_ / "test.tsv",
                      "--out",
                      folder_ / "table.md",
                      "--seeds",
                      "2",
                      "--threads",
                      "2",
                      "--epochs",
                      "3",
                      "--checkpoint-every",
                      "7"};
    return with(test::joined(start, GetParam().flags), more);
  }

  // A flag that is there already takes the other value.
  static Words with(Words words, const Words& more) {
    for (std::size_t i = 0; i < more.size(); ++i) {
      const bool may_be_there = more[i].starts_with("--") && more[i] != "--set";
      const auto at = may_be_there ? std::find(words.begin(), words.end(), more[i]) : words.end();
      if (at == words.end()) {
        words.push_back(more[i]);
      } else {
        *(at + 1) = more[++i];
      }
    }
    return words;
  }

  pid_t start(const std::string& run, const Words& more = {}) const {
    return test::start(words(run, more), folder_ / "out", folder_ / "err");
  }

  Said compare(const std::string& run, const Words& more = {}) const {
    fs::remove(folder_ / "table.md");
    Said said;
    said.code = test::wait_for(start(run, more));
    said.out = read_text(folder_ / "out");
    said.err = read_text(folder_ / "err");
    if (said.code == 0) said.table = read_text(folder_ / "table.md");
    return said;
  }

  // The rows, without the last column: seconds are never the same twice.
  static std::vector<std::string> rows(const Said& said) {
    std::vector<std::string> rows;
    std::istringstream lines(said.table);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("| ")) rows.push_back(line.substr(0, line.rfind('|', line.size() - 2)));
    }
    return rows;
  }
  // The same of the lines of JSON, in the order of their text: that in which runs end may differ.
  static std::vector<std::string> results(const Said& said) {
    std::vector<std::string> lines;
    std::istringstream text(said.out);
    for (std::string line; std::getline(text, line);) {
      json result = json::parse(line);
      EXPECT_GT(result.at("seconds_per_epoch"), 0);
      result.erase("seconds_per_epoch");
      lines.push_back(result.dump());
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  // Starts a comparison and waits until that file is there.
  void start_until(const std::string& run, const std::string& file, const Words& more) {
    running_ = start(run, more);
    for (int i = 0; i < 6000 && !fs::exists(folder_ / file); ++i) std::this_thread::sleep_for(milliseconds(5));
    ASSERT_TRUE(fs::exists(folder_ / file));
  }
  void kill_running() {
    EXPECT_TRUE(test::kill_after(running_, milliseconds(0)));
    running_ = 0;
  }

  test::TemporaryFolder folder_;
  pid_t running_ = 0;
};

using KilledComparison = Compare;

TEST_P(KilledComparison, EndsWithTheSameTable) {
  const auto begin = std::chrono::steady_clock::now();
  const Said whole = compare("whole");
  ASSERT_EQ(whole.code, 0) << whole.err;
  ASSERT_EQ(rows(whole).size(), 3u);  // the titles, and two models
  ASSERT_EQ(results(whole).size(), 4u);
  const auto length = std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin).count();
  std::mt19937 random(21);
  std::uniform_int_distribution<int> delay(0, static_cast<int>(length));

  int kills = 0, runs = 0;
  while (kills < kKills) {
    const std::string run = "killed" + std::to_string(runs++);
    while (kills < kKills && test::kill_after(start(run), milliseconds(delay(random)))) ++kills;
    const Said said = compare(run);
    ASSERT_EQ(said.code, 0) << said.err;
    EXPECT_EQ(rows(said), rows(whole)) << run << " after " << kills << " kills";
    EXPECT_EQ(results(said), results(whole));
    for (const auto& entry : fs::directory_iterator(folder_ / "whole/runs")) {
      const std::string model = "runs/" + entry.path().filename().string() + "/model.safetensors";
      EXPECT_TRUE(read_text(folder_ / ("whole/" + model)) == read_text(folder_ / (run + "/" + model))) << model;
    }
  }
  RecordProperty("runs", runs);
}

const auto case_name = [](const auto& info) { return std::string(info.param.name); };
INSTANTIATE_TEST_SUITE_P(Tasks, KilledComparison, testing::Values(kTaggers, kTwoAtATime, kRecognisers), case_name);

using EachComparison = Compare;
INSTANTIATE_TEST_SUITE_P(Tasks, EachComparison, testing::Values(kTaggers, kRecognisers), case_name);

// Their scores are those of `seqgpu train` by itself, whose model predict and eval can read.
TEST_P(EachComparison, FindsWhatTrainFinds) {
  const Said said = compare("run");
  ASSERT_EQ(said.code, 0) << said.err;
  const bool tags = GetParam().name == kTaggers.name;
  std::istringstream lines(said.out);
  std::string line;
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(std::getline(lines, line));
  const json last = json::parse(line);
  EXPECT_EQ(last.at("seed"), 2);

  Words train = words("alone");
  train[1] = "train";
  const auto drop = [&](const std::string& flag) {
    const auto at = std::find(train.begin(), train.end(), flag);
    if (at != train.end()) train.erase(at, at + 2);
  };
  for (const char* flag : {"--out", "--seeds", "--models", "--set"}) drop(flag);
  const Words own = tags ? Words{"--model", "bigru"} : Words{"--model", "lstm", "--mel-bins", "20"};
  train = test::joined(test::joined(train, own), {"--seed", "2"});
  ASSERT_EQ(test::wait_for(test::start(train, folder_ / "out", folder_ / "err")), 0) << read_text(folder_ / "err");
  const json alone = json::parse(read_text(folder_ / "out"));
  const std::vector<const char*> keys =
      tags ? std::vector{"test_f1", "dev_f1"} : std::vector{"test_cer", "test_wer", "dev_cer", "dev_wer", "dev_loss"};
  for (const char* key : keys) EXPECT_EQ(last.at(key), alone.at(key)) << key;
  for (const char* key : {"model", "parameters", "best_epoch"}) EXPECT_EQ(last.at(key), alone.at(key)) << key;

  const std::string run = folder_ / "run/runs" + (tags ? "/bigru-2" : "/lstm-2");
  EXPECT_EQ(read_text(run + "/model.safetensors"), read_text(folder_ / "alone/model.safetensors"));
  EXPECT_TRUE(fs::exists(run + "/config.toml"));
  EXPECT_EQ(test::wait_for(test::start({SEQGPU_TOOL_FILE, "eval", "--run", run, "--data", folder_ / "test.tsv"})), 0);
}

TEST_P(EachComparison, KeepsTheRunsThatAreDone) {
  const Said first = compare("run");
  ASSERT_EQ(first.code, 0) << first.err;
  const Said again = compare("run");
  EXPECT_THAT(again.err, HasSubstr("run: 4 of 4 runs are done"));
  EXPECT_EQ(again.table, first.table);  // with the seconds
  EXPECT_EQ(again.out, first.out);

  // One that is done is not trained again, one whose result is lost is scored again.
  const std::string result = folder_ / "run/runs" + (GetParam().name == kTaggers.name ? "/elman-1" : "/bielman-1");
  json changed = json::parse(read_text(result + "/result.json"));
  changed["parameters"] = 7;
  std::ofstream(result + "/result.json") << changed.dump();
  EXPECT_THAT(compare("run").table, HasSubstr("| 7 |"));
  std::ofstream(result + "/result.json") << "{";
  const Said damaged = compare("run");
  EXPECT_EQ(damaged.code, 2);
  EXPECT_THAT(damaged.err, AllOf(HasSubstr(result + "/result.json"), HasSubstr("delete it")));
  fs::remove(result + "/result.json");
  const Said mended = compare("run");
  EXPECT_THAT(mended.err, AllOf(HasSubstr("3 of 4 runs are done"), HasSubstr("-1 went on from step ")));
  EXPECT_EQ(rows(mended), rows(first));
}

TEST_P(EachComparison, TakesUpTheUnfinishedRunFromItsCheckpoint) {
  const std::string first = GetParam().name == kTaggers.name ? "elman-1" : "bielman-1";
  const Words longer{"--epochs", "20"};
  start_until("run", "run/runs/" + first + "/metrics.jsonl", longer);  // written after the first checkpoint
  kill_running();
  ASSERT_FALSE(fs::exists(folder_ / ("run/runs/" + first + "/result.json"))) << "too fast to be interrupted";
  const Said said = compare("run", longer);
  ASSERT_EQ(said.code, 0) << said.err;
  EXPECT_THAT(said.err, AllOf(HasSubstr("0 of 4 runs are done"), HasSubstr("/" + first + " went on from step "),
                              Not(HasSubstr("-2 went on"))));
}

TEST_P(EachComparison, RefusesWhileAnotherIsAtWork) {
  start_until("run", "run/comparison.json", {"--epochs", "100000"});
  for (const Words& more : {Words{}, Words{"--restart"}}) {
    const Said second = compare("run", more);
    EXPECT_EQ(second.code, 3);
    EXPECT_THAT(second.err, AllOf(HasSubstr("/run is being written by another seqgpu"),
                                  HasSubstr("(process " + std::to_string(running_) + ")")));
  }
  kill_running();
  EXPECT_EQ(compare("run", {"--restart"}).code, 0);
}

TEST_P(EachComparison, RefusesOtherArgumentsInTheSameFolder) {
  const Said first = compare("run");
  ASSERT_EQ(first.code, 0) << first.err;
  const auto refuses = [&](const Words& more, const std::string& difference) {
    const Said said = compare("run", more);
    EXPECT_EQ(said.code, 2) << difference;
    EXPECT_THAT(said.err, AllOf(HasSubstr("/run holds another comparison ("), HasSubstr(difference),
                                HasSubstr("take another folder, or --restart")));
    EXPECT_EQ(said.out, "");
  };
  refuses({"--seeds", "3"}, "(seeds: 3, was 2)");
  refuses({"--seed", "5"}, "(seed: 5, was 1)");
  refuses({"--epochs", "4"}, "(epochs: 4, was 3)");
  refuses({"--batch", "5"}, "(batch: 5, was ");
  const bool tags = GetParam().name == kTaggers.name;
  const std::string first_model = tags ? "elman" : "bielman", second = tags ? "bigru" : "lstm";
  refuses({"--set", second + ".hidden=11"}, "(" + second + ".hidden: 11, was 12)");
  refuses({"--models", second + "," + first_model},
          "(models: " + second + "," + first_model + ", was " + first_model + "," + second + ")");
  refuses({"--dev", ""}, "(dev: none, was a file)");
  refuses({"--test", folder_ / "dev.tsv"}, "(test: the file holds something else)");

  // What no result depends on may change: where the files lie, threads, checkpoints, the table's place.
  fs::copy_file(folder_ / "test.tsv", folder_ / "copy.tsv");
  const Said same =
      compare("run", {"--test", folder_ / "copy.tsv", "--threads", "1", "--jobs", "2", "--checkpoint-every", "3"});
  EXPECT_EQ(same.code, 0) << same.err;
  EXPECT_EQ(rows(same), rows(first));

  const Said restarted = compare("run", {"--epochs", "1", "--restart"});
  EXPECT_EQ(restarted.code, 0) << restarted.err;
  EXPECT_THAT(restarted.err, Not(HasSubstr("are done")));
  EXPECT_EQ(results(restarted).size(), 4u);

  fs::remove(folder_ / "run/comparison.json");
  EXPECT_THAT(compare("run").err, HasSubstr("has runs, but no comparison.json"));
  std::ofstream(folder_ / "run/comparison.json") << "[]";
  const Said damaged = compare("run");
  EXPECT_EQ(damaged.code, 2);
  EXPECT_THAT(damaged.err, AllOf(HasSubstr("run/comparison.json"), HasSubstr("--restart")));
}

TEST_P(EachComparison, RefusesWhatCannotBeCompared) {
  const auto refuses = [&](const Words& more, const std::string& message) {
    const Said said = compare("run", more);
    EXPECT_EQ(said.code, 2) << message;
    EXPECT_THAT(said.err, HasSubstr(message));
    EXPECT_FALSE(fs::exists(folder_ / "run"));
  };
  const bool tags = GetParam().name == kTaggers.name;
  const std::string second = tags ? "bigru" : "lstm";
  refuses({"--models", "gru,lstm,gru"}, "--models names gru twice");
  refuses({"--set", "rnn.hidden=5"}, "--set names rnn, which is not among the models: ");
  refuses({"--set", second + ".model=gru"}, "--set cannot change the model");
  refuses({"--set", "hidden"}, "--set must be MODEL.KEY=VALUE, got hidden");
  refuses({"--set", second + ".nonsense=1"}, "no option is called nonsense");
  if (tags) {
    refuses({"--set", "elman.mel_bins=20"}, "is not read by task \"tag\"");
  } else {
    refuses({"--models", "window,lstm"}, "\"window\" tags words");
  }
  const Words lost{SEQGPU_TOOL_FILE,     "compare",  "--train", folder_ / "train.tsv", "--test",
                   folder_ / "test.tsv", "--restart"};
  EXPECT_EQ(test::wait_for(test::start(lost, folder_ / "out", folder_ / "err")), 2);
  EXPECT_THAT(read_text(folder_ / "err"), HasSubstr("--restart needs the folder of --run"));
}

// What the window model sees by itself is more than what others see, unless it is said.
TEST(ComparisonContext, IsThatOfTheModelUnlessTheFileOrAFlagSaysIt) {
  const test::TemporaryFolder folder;
  test::write_sentences(folder.path());
  std::ofstream(folder / "two.toml") << "[network]\ncontext = 2\n";
  const auto contexts = [&](const Words& more) {
    const Words words{SEQGPU_TOOL_FILE,
                      "compare",
                      "--models",
                      "window,elman",
                      "--train",
                      folder / "train.tsv",
                      "--test",
                      folder / "test.tsv",
                      "--epochs",
                      "1",
                      "--seeds",
                      "1",
                      "--run",
                      folder / "run",
                      "--restart",
                      "--hidden",
                      "4"};
    const int code = test::wait_for(test::start(test::joined(words, more), folder / "out", folder / "err"));
    EXPECT_EQ(code, 0) << read_text(folder / "err");
    std::vector<std::int64_t> found;
    for (const char* run : {"window-1", "elman-1"}) {
      const std::string file = folder / ("run/runs/" + std::string(run) + "/config.toml");
      found.push_back(parse_config(read_text(file), file).context);
    }
    return found;
  };
  EXPECT_THAT(contexts({}), ElementsAre(3, 0));
  EXPECT_THAT(contexts({"--config", folder / "two.toml"}), ElementsAre(2, 2));
  EXPECT_THAT(contexts({"--context", "1", "--set", "window.context=4"}), ElementsAre(4, 1));
}

TEST(ComparisonTable, HasMeanAndDeviationOfEachScore) {
  Config config;
  config.task = "transcribe";
  config.dev = "dev.tsv";
  Comparison comparison{{config, config}, 2};
  comparison.models.back().model = "gru";
  const auto outcome = [](double cer, double wer, double seconds, std::int64_t parameters) {
    return RunOutcome{{{"test_cer", cer}, {"test_wer", wer}}, seconds, parameters, 1};
  };
  const std::vector<RunOutcome> outcomes{outcome(0.01, 0.5, 1, 10), outcome(0.03, 0.5, 2, 10), outcome(0.5, 1, 3, 20),
                                         outcome(0.5, 0, 3, 20)};
  EXPECT_EQ(
      comparison_table(comparison, outcomes, "seqgpu compare"),
      "Made by:\n\n```\nseqgpu compare\n```\n\n"
      "Test error rates in percent as sclite counts them, decoder greedy, mean +- sample deviation over 2 seeds.\n\n"
      "| model | test CER | each seed | test WER | parameters | s / epoch |\n|---|---|---|---|---|---|\n"
      "| bilstm | 2.00 +- 1.41 | 1.00, 3.00 | 50.00 +- 0.00 | 10 | 1.50 |\n"
      "| gru | 50.00 +- 0.00 | 50.00, 50.00 | 50.00 +- 70.71 | 20 | 3.00 |\n");
  for (Config& model : comparison.models) model.unit = "words";
  EXPECT_THAT(comparison_table(comparison, outcomes, ""), HasSubstr("| model | test WER | each seed | test CER |"));
}

TEST(ComparisonTable, OfTaggersSaysWhatWasHeldBack) {
  Comparison comparison{{Config{}}, 1};
  const std::vector<RunOutcome> outcomes{{{{"test_f1", 0.955}}, 0.5, 30, 2}};
  EXPECT_THAT(comparison_table(comparison, outcomes, ""),
              AllOf(HasSubstr("over 1 seeds. A seed also decides\nwhich training sentences are held back"),
                    HasSubstr("| bilstm | 95.50 +- 0.00 | 95.50 | 30 | 0.50 |\n")));
  comparison.models.front().dev_fraction = 0;
  EXPECT_THAT(comparison_table(comparison, outcomes, ""), Not(HasSubstr("held back")));
}

}  // namespace
}  // namespace seqgpu::tool
