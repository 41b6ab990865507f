// The commands from outside: exit codes, what stdout holds, what stderr names.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/data/tone_corpus.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/seqgpu/run_folder.hpp"

namespace seqgpu::tool {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::StartsWith;

struct Outcome {
  int code = -1;
  std::string out, err;
};

// One small recogniser for all tests, trained by the command itself.
class Commands : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryFolder;
    data::ToneCorpusOptions options;
    options.train_utterances = 80;
    options.test_utterances = 12;
    options.letters = 3;
    options.longest = 5;
    options.snr_db = 20;
    data::write_tone_corpus(folder_->path(), options);
    trained_ = new Outcome(run(
        "train --task transcribe --train F/train.tsv --test F/test.tsv --run F/run --hidden 16 --stack 3 --stride 3 "
        "--batch 4 --rate 0.01 --dropout 0 --input-dropout 0 --epochs 4 --threads 1"));
  }
  static void TearDownTestSuite() {
    delete trained_;
    delete folder_;
  }

  // F/ stands for the folder.
  static Outcome run(std::string words) {
    const std::string path = folder_->path();  // which may itself end in F
    for (std::size_t at = 0; (at = words.find("F/", at)) != std::string::npos; at += path.size()) {
      words.replace(at, 1, path);
    }
    const std::string err = *folder_ / "stderr";
    Outcome outcome;
    std::FILE* pipe = popen((std::string(SEQGPU_TOOL_FILE) + " " + words + " 2>" + err).c_str(), "r");
    if (pipe == nullptr) return outcome;
    char buffer[4096];
    for (std::size_t size; (size = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) outcome.out.append(buffer, size);
    outcome.code = WEXITSTATUS(pclose(pipe));
    outcome.err = read_text(err);
    return outcome;
  }

  static test::TemporaryFolder* folder_;
  static Outcome* trained_;
};
test::TemporaryFolder* Commands::folder_ = nullptr;
Outcome* Commands::trained_ = nullptr;

TEST_F(Commands, TrainPrintsOneLineOfJson) {
  ASSERT_EQ(trained_->code, 0) << trained_->err;
  const json result = json::parse(trained_->out);
  EXPECT_EQ(result.at("task"), "transcribe");
  EXPECT_EQ(result.at("epochs"), 4);
  EXPECT_LT(result.at("test_cer"), 0.2);
  for (const char* key : {"test_wer", "dev_cer", "dev_wer", "dev_loss"}) EXPECT_TRUE(result.contains(key)) << key;
  EXPECT_THAT(read_text(*folder_ / "run/config.toml"), HasSubstr("sample_rate = 8000"));
  EXPECT_THAT(read_text(*folder_ / "run/report.html"), HasSubstr("What the network hears"));
  EXPECT_THAT(read_text(*folder_ / "run/metrics.jsonl"), HasSubstr("\"dev_loss\""));
}

TEST_F(Commands, EvalCountsWhatTrainCounted) {
  const Outcome outcome = run("eval --run F/run --data F/test.tsv --json");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const json scores = json::parse(outcome.out);
  EXPECT_EQ(scores.at("characters").at("rate"), json::parse(trained_->out).at("test_cer"));
  EXPECT_EQ(scores.at("recordings"), 12);
  EXPECT_THAT(run("eval --run F/run --data F/test.tsv").out, AllOf(HasSubstr("insertions"), HasSubstr("words ")));
  EXPECT_EQ(run("eval --run F/run --data F/test.tsv --decoder beam --beam-width 4").code, 0);
}

// A symbol that training did not show can only be heard as another, or missed: that is an error, not bad data.
TEST_F(Commands, EvalCountsUnknownSymbolsAsErrors) {
  const auto scores_of = [](const std::string& name, const std::string& lines) {
    std::ofstream(*folder_ / name) << lines;
    const Outcome outcome = run("eval --run F/run --json --data F/" + name);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, testing::Not(HasSubstr("left out")));
    return json::parse(outcome.out);
  };
  std::string first = run("predict --run F/run F/test/00000.wav").out,
              second = run("predict --run F/run F/test/00001.wav").out;
  first = first.substr(first.find('\t') + 1, first.find('\n') - first.find('\t') - 1);
  second = second.substr(second.find('\t') + 1, second.find('\n') - second.find('\t') - 1);
  const std::string right = "test/00000.wav\t" + first + "\n";
  const json known = scores_of("known.tsv", right);
  EXPECT_EQ(known.at("characters").at("rate"), 0);
  EXPECT_EQ(known.at("unknown_symbols"), 0);
  EXPECT_EQ(known.at("unknown"), json::array());

  // The second has one letter taken for z and two unknown ones more than it says.
  const std::string lines = right + "test/00001.wav\tz" + second.substr(1) + "zy\n";
  const json scores = scores_of("unknown.tsv", lines);
  const json& characters = scores.at("characters");
  EXPECT_EQ(characters.at("reference"), first.size() + second.size() + 2);
  EXPECT_EQ(characters.at("substitutions"), 1);
  EXPECT_EQ(characters.at("deletions"), 2);
  EXPECT_EQ(characters.at("insertions"), 0);
  EXPECT_EQ(scores.at("recordings"), 2);
  EXPECT_EQ(scores.at("unknown_symbols"), 3);
  EXPECT_EQ(scores.at("unknown"), json::parse(R"([["z", 2], ["y", 1]])"));
  // That of the recordings whose symbols are all known.
  EXPECT_NEAR(scores.at("loss").get<double>(), known.at("loss").get<double>(), 1e-5);
  EXPECT_THAT(run("eval --run F/run --data F/unknown.tsv").out,
              HasSubstr("unknown symbols in the data, counted as errors: 3 (\"z\" 2 times, \"y\")\n"));
}

TEST_F(Commands, PredictTakesFilesAndListsAndGivesTimes) {
  const Outcome files = run("predict --run F/run F/test/00000.wav F/test/00001.wav");
  ASSERT_EQ(files.code, 0) << files.err;
  EXPECT_THAT(files.out, MatchesRegex(".*/test/00000.wav\t[abc]+\n.*/test/00001.wav\t[abc]+\n"));
  EXPECT_THAT(run("predict --run F/run --input F/test.tsv").out, StartsWith(files.out));
  EXPECT_EQ(run("predict --run F/run < /dev/null").out, "");
  const Outcome times = run("predict --run F/run --format times F/test/00000.wav");
  EXPECT_THAT(times.out.substr(0, times.out.find('\n')),
              MatchesRegex(".*/00000.wav\t0\\.[0-9][0-9][0-9]\t[abc]\t[01]\\.[0-9]+"));
  const json line = json::parse(run("predict --run F/run --format json F/test/00000.wav").out);
  std::string joined;
  for (const json& symbol : line.at("symbols")) joined += symbol.at("symbol").get<std::string>();
  EXPECT_EQ(line.at("text"), joined);
}

TEST_F(Commands, TheMovingAverageOfTheParametersIsWhatIsKept) {
  const std::string train =
      "train --task transcribe --train F/train.tsv --run F/averaged --hidden 8 --stack 3 --stride 3 --epochs 1 ";
  ASSERT_EQ(run(train + "--ema-decay 0.5").code, 0);
  const TensorMap model = read_safetensors(*folder_ / "averaged/model.safetensors").tensors;
  const Checkpoint last = load_latest_checkpoint(*folder_ / "averaged/checkpoints").value();
  const auto average = last.trainer.at("average").view<float>();
  for (const auto& [name, trained] : last.parameters) {
    const auto kept = model.at(name).view<float>(), values = trained.view<float>();
    EXPECT_NE(std::search(average.begin(), average.end(), kept.begin(), kept.end()), average.end()) << name;
    EXPECT_FALSE(std::equal(kept.begin(), kept.end(), values.begin(), values.end())) << name;
  }
  const Outcome both = run(train + "--restart --ema-decay 0.5 --weight-noise 0.1");
  EXPECT_EQ(both.code, 2);
  EXPECT_THAT(both.err, AllOf(HasSubstr("ema_decay"), HasSubstr("weight_noise")));
}

TEST_F(Commands, InfoShowsWhatTheModelHolds) {
  const Outcome outcome = run("info F/run/model.safetensors");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("format: seqgpu recogniser 1"), HasSubstr("statistics.origin"),
                                 HasSubstr("recurrent.weight_hh_l0_reverse")));
}

TEST_F(Commands, ExitCodesSayWhatWentWrong) {
  EXPECT_EQ(run("predict").code, 1);
  const auto fails = [&](const std::string& words, int code, const std::string& message) {
    const Outcome outcome = run(words);
    EXPECT_EQ(outcome.code, code) << words;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << words;
    EXPECT_EQ(outcome.out, "") << words;
  };
  std::ofstream(*folder_ / "cut.wav") << "RIFF";
  std::ofstream(*folder_ / "bad.tsv") << "test/00000.wav\tabc\ncut.wav\tabc\ncut.wav\tabz\n";
  std::ofstream(*folder_ / "bad.arpa") << "\\data\\\nngram 1=2\n\n\\1-grams:\n-1 a\n\n\\end\\\n";
  fails("eval --run F/run --data F/bad.tsv", 2, "bad.tsv:2");
  fails("eval --run F/run --data F/bad.tsv --skip-bad 1", 2, "bad.tsv:3");
  fails("eval --run F/run --data F/none.tsv", 3, "none.tsv");
  fails("eval --run F/run --data F/test.tsv --lm F/bad.arpa", 2, "add --decoder beam");
  fails("eval --run F/run --data F/test.tsv --decoder beam --lm F/bad.arpa", 2, "bad.arpa:");
  fails("predict --run F/run F/cut.wav", 2, "cut.wav");
  fails("predict --run F/run --format iob F/test/00000.wav", 2, "lines, times, json");
  fails("predict --run F/none F/test/00000.wav", 3, "model.safetensors");
  fails("train --task transcribe --train F/train.tsv --run F/x --embedding 5", 2, "--embedding is not read by task");
  const Outcome skipped = run("eval --run F/run --data F/bad.tsv --skip-bad 2 --json");
  EXPECT_EQ(skipped.code, 0);
  EXPECT_EQ(json::parse(skipped.out).at("recordings"), 1);
  EXPECT_THAT(skipped.err, HasSubstr("left out 2 recordings, the first: "));
}

}  // namespace
}  // namespace seqgpu::tool
