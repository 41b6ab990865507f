// A training run killed with SIGKILL at any moment and started again ends with the bits of one that was not.
#include <gmock/gmock.h>

#include <chrono>
#include <random>

#include "seqgpu/checkpoint.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/tool/child.hpp"
#include "tests/tool/small_data.hpp"
#include "tools/seqgpu/run_folder.hpp"

namespace seqgpu::tool {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kKills = 20;
using test::Words;

// What is trained on, and how.
struct Case {
  const char* name;
  void (*write_data)(const std::string& folder);
  Words flags;
};
std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

const Case kTagger{"tagger",
                   test::write_sentences,
                   {"--embedding", "12", "--hidden", "12", "--trigrams", "4", "--batch", "8", "--ema-decay", "0.9"}};
const Case kRecogniser{"recogniser",
                       test::write_sounds,
                       {"--task", "transcribe", "--hidden", "12", "--stack", "4", "--stride", "4", "--batch", "4",
                        "--time-masks", "1", "--max-time", "2", "--feature-noise", "0.1", "--weight-noise", "0.01"}};

class KilledRun : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override { GetParam().write_data(folder_.path()); }

  pid_t start(const std::string& run) const {
    const Words words{SEQGPU_TOOL_FILE,
                      "train",
                      "--run",
                      folder_ / run,
                      "--train",
                      folder_ / "train.tsv",
                      "--dev",
                      folder_ / "dev.tsv",
                      "--epochs",
                      "4",
                      "--schedule",
                      "plateau",
                      "--schedule-patience",
                      "1",
                      "--checkpoint-every",
                      "7",
                      "--threads",
                      "2"};
    return test::start(test::joined(words, GetParam().flags));
  }

  void run_to_end(const std::string& run) const { ASSERT_EQ(test::wait_for(start(run)), 0); }

  std::string model(const std::string& run) const { return read_text(folder_ / (run + "/model.safetensors")); }

  // The parameters of the last step, not only of the best epoch.
  TensorMap last_parameters(const std::string& run) const {
    return load_latest_checkpoint(folder_ / (run + "/checkpoints")).value().parameters;
  }

  test::TemporaryFolder folder_;
};

TEST_P(KilledRun, EndsWithTheSameBits) {
  const auto begin = Clock::now();
  run_to_end("whole");
  const auto whole = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
  std::mt19937 random(20);
  std::uniform_int_distribution<int> delay(0, static_cast<int>(whole.count()));

  int kills = 0, runs = 0;
  while (kills < kKills) {
    const std::string run = "killed" + std::to_string(runs++);
    while (kills < kKills && test::kill_after(start(run), milliseconds(delay(random)))) ++kills;
    run_to_end(run);
    EXPECT_TRUE(model(run) == model("whole")) << run << " after " << kills << " kills";
    const TensorMap expected = last_parameters("whole"), found = last_parameters(run);
    ASSERT_EQ(found.size(), expected.size());
    for (const auto& [name, tensor] : expected) EXPECT_TRUE(found.at(name).bytes == tensor.bytes) << name;
  }
  RecordProperty("runs", runs);
}

INSTANTIATE_TEST_SUITE_P(Tasks, KilledRun, testing::Values(kTagger, kRecogniser),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace seqgpu::tool
