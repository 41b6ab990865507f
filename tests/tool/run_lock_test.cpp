// One writer in a run folder, for as long as it lives; readers at any time.
#include "tools/seqgpu/run_lock.hpp"

#include <gmock/gmock.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "seqgpu/error.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tests/tool/child.hpp"
#include "tests/tool/small_data.hpp"
#include "tools/seqgpu/run_folder.hpp"

namespace seqgpu::tool {
namespace {

using std::chrono::milliseconds;
using test::Words;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

std::string error_of(const std::string& folder) {
  try {
    const RunLock lock(folder);
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "none";
}

TEST(RunLock, IsHeldUntilItsEndAndNamesItsHolder) {
  const test::TemporaryFolder folder;
  const std::string run = folder / "deep/run";
  {
    const RunLock lock(run);
    EXPECT_THAT(error_of(run), AllOf(HasSubstr("io_failure"), HasSubstr(run + " is being written by another"),
                                     HasSubstr("(process " + std::to_string(getpid()) + ")")));
    EXPECT_EQ(error_of(folder / "deep/other"), "none");
  }
  EXPECT_EQ(error_of(run), "none");
}

TEST(RunLock, NamesNobodyWhereItsHolderIsNotKnown) {
  const test::TemporaryFolder folder;
  const RunLock lock(folder.path());
  for (const char* text : {"", "nonsense", "-1", "2000000000\n"}) {
    std::ofstream(folder / "lock") << text;
    EXPECT_THAT(error_of(folder.path()), AllOf(HasSubstr("is being written"), Not(HasSubstr("process")))) << text;
  }
}

TEST(RunLock, AFolderThatCannotBeWrittenIsAnError) {
  const test::TemporaryFolder folder;
  std::filesystem::create_directory(folder / "lock");
  EXPECT_THAT(error_of(folder.path()), AllOf(HasSubstr("io_failure"), HasSubstr("/lock"), HasSubstr("directory")));
}

class LockedRun : public testing::Test {
 protected:
  void SetUp() override { test::write_sentences(folder_.path()); }
  void TearDown() override {
    if (first_ > 0) test::kill_after(first_, milliseconds(0));
  }

  Words train(const std::string& epochs) const {
    return {SEQGPU_TOOL_FILE,    "train",     "--run", folder_ / "run", "--train", folder_ / "train.tsv", "--dev",
            folder_ / "dev.tsv", "--threads", "1",     "--hidden",      "8",       "--embedding",         "8",
            "--epochs",          epochs};
  }

  // The exit code; what it said is then in out_ and err_.
  int run(const Words& words) {
    const int code = test::wait_for(test::start(words, folder_ / "out", folder_ / "err"));
    out_ = read_text(folder_ / "out");
    err_ = read_text(folder_ / "err");
    return code;
  }

  // A run that goes on until it is killed, and has trained an epoch.
  void start_first() {
    first_ = test::start(train("1000000"));
    for (int i = 0; i < 6000 && !std::filesystem::exists(folder_ / "run/metrics.jsonl"); ++i) {
      std::this_thread::sleep_for(milliseconds(10));
    }
    ASSERT_TRUE(std::filesystem::exists(folder_ / "run/metrics.jsonl"));
  }
  void kill_first() {
    EXPECT_TRUE(test::kill_after(first_, milliseconds(0)));
    first_ = 0;
  }

  test::TemporaryFolder folder_;
  std::string out_, err_;
  pid_t first_ = 0;
};

TEST_F(LockedRun, RefusesASecondTrainingAndLetsReadersIn) {
  start_first();
  for (const Words& more : {Words{}, Words{"--restart"}}) {
    EXPECT_EQ(run(test::joined(train("2"), more)), 3);
    EXPECT_THAT(err_, AllOf(HasSubstr(folder_ / "run" + " is being written by another seqgpu (process " +
                                      std::to_string(first_) + ")"),
                            HasSubstr("--run")));
    EXPECT_EQ(out_, "");
  }
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/model.safetensors"));  // --restart deleted nothing
  EXPECT_EQ(run({SEQGPU_TOOL_FILE, "eval", "--run", folder_ / "run", "--data", folder_ / "dev.tsv"}), 0) << err_;
  EXPECT_EQ(
      run({SEQGPU_TOOL_FILE, "predict", "--run", folder_ / "run", "--format", "iob", "--input", folder_ / "dev.tsv"}),
      0)
      << err_;
  EXPECT_NE(out_, "");
  EXPECT_EQ(run({SEQGPU_TOOL_FILE, "info", folder_ / "run/model.safetensors"}), 0) << err_;
  EXPECT_EQ(run(test::joined(train("2"), {"--dry-run"})), 0) << err_;
  EXPECT_EQ(waitpid(first_, nullptr, WNOHANG), 0);  // and it trained all the while
}

TEST_F(LockedRun, IsFreeOnceTheFirstWasKilled) {
  start_first();
  kill_first();
  EXPECT_TRUE(std::filesystem::exists(folder_ / "run/lock"));
  ASSERT_EQ(run(test::joined(train("1"), {"--restart"})), 0) << err_;
  EXPECT_THAT(out_, HasSubstr("\"epochs\":1"));
}

}  // namespace
}  // namespace seqgpu::tool
