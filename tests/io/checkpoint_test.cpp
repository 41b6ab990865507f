#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <new>
#include <random>

#include "tests/io/files.hpp"

namespace seqgpu::test {
namespace {

// Everything in it depends on the step, so that content and step can be checked against each other.
Checkpoint checkpoint_of(std::int64_t step, std::int64_t size = 5) {
  Checkpoint checkpoint;
  HostTensor weights(DType::f32, {size});
  for (float& value : weights.view<float>()) value = static_cast<float>(step);
  checkpoint.parameters["layer.weight"] = weights;
  checkpoint.parameters["empty"] = HostTensor(DType::f32, {0});
  checkpoint.trainer["layer.weight"] = HostTensor::of<double>({}, {0.5 * static_cast<double>(step)});
  checkpoint.trainer["random"] = HostTensor::of<std::int64_t>({2}, {step, -1});
  checkpoint.metadata = {{"epoch", std::to_string(step)}, {"config", "{\"hidden\": 100}"}};
  return checkpoint;
}

void expect_is(const std::optional<Checkpoint>& loaded, std::int64_t step, std::int64_t size = 5) {
  ASSERT_TRUE(loaded.has_value());
  const Checkpoint expected = checkpoint_of(step, size);
  EXPECT_EQ(loaded->step, step);
  EXPECT_EQ(loaded->metadata, expected.metadata);
  expect_same(loaded->parameters, expected.parameters);
  expect_same(loaded->trainer, expected.trainer);
}

std::string file_of(std::int64_t step) { return "checkpoint-" + std::to_string(step) + ".safetensors"; }

TEST(Checkpoint, RoundTrip) {
  const TemporaryFolder folder;
  const std::string runs = folder / "runs/first";  // created on the way
  EXPECT_FALSE(load_latest_checkpoint(runs).has_value());
  save_checkpoint(runs, 0, checkpoint_of(0));
  expect_is(load_latest_checkpoint(runs), 0);
  save_checkpoint(runs, 0, {});  // replaces
  EXPECT_TRUE(load_latest_checkpoint(runs)->parameters.empty());
  EXPECT_TRUE(load_latest_checkpoint(runs)->skipped.empty());
}

TEST(Checkpoint, IsAnOrdinarySafetensorsFile) {
  const TemporaryFolder folder;
  save_checkpoint(folder.path(), 3, checkpoint_of(3));
  const TensorFile file = read_safetensors(folder / file_of(3));
  EXPECT_TRUE(file.tensors.contains("parameters/layer.weight"));
  EXPECT_TRUE(file.tensors.contains("trainer/layer.weight"));
  EXPECT_EQ(file.metadata.at("seqgpu.hash").size(), 32U);
  EXPECT_EQ(file.metadata.at("seqgpu.step"), "3");
}

TEST(Checkpoint, KeepsTheNewestByNumberNotByName) {
  const TemporaryFolder folder;
  for (const std::int64_t step : {8, 9, 10, 11}) save_checkpoint(folder.path(), step, checkpoint_of(step), 3);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{file_of(10), file_of(11), file_of(9)}));
  expect_is(load_latest_checkpoint(folder.path()), 11);
  save_checkpoint(folder.path(), 12, checkpoint_of(12), 1);
  EXPECT_EQ(folder.names(), std::vector<std::string>{file_of(12)});
}

TEST(Checkpoint, NeverDeletesTheOneJustSaved) {
  const TemporaryFolder folder;
  save_checkpoint(folder.path(), 100, checkpoint_of(100), 1);
  save_checkpoint(folder.path(), 50, checkpoint_of(50), 1);
  EXPECT_EQ(folder.names(), (std::vector<std::string>{file_of(100), file_of(50)}));
}

TEST(Checkpoint, TouchesOnlyItsOwnFiles) {
  const TemporaryFolder folder;
  const std::vector<std::string> theirs = {"checkpoint-",
                                           "checkpoint--1.safetensors",
                                           "checkpoint-007.safetensors",
                                           "checkpoint-1.safetensors.bak",
                                           "checkpoint-1.txt",
                                           "checkpoint-best.safetensors",
                                           "checkpoint-99999999999999999999.safetensors",
                                           "model.safetensors",
                                           "notes.tmp-1"};
  for (const std::string& name : theirs) put(folder / name, "theirs");
  const std::string leftover = file_of(4) + ".tmp-12345-0";
  put(folder / leftover, "half a checkpo");
  EXPECT_FALSE(load_latest_checkpoint(folder.path()).has_value());
  save_checkpoint(folder.path(), 5, checkpoint_of(5), 1);
  for (const std::string& name : theirs) EXPECT_EQ(content_of(folder / name), "theirs") << name;
  EXPECT_FALSE(std::filesystem::exists(folder / leftover));
  expect_is(load_latest_checkpoint(folder.path()), 5);
}

TEST(Checkpoint, RefusesWrongArguments) {
  const TemporaryFolder folder;
  const auto code = [&](std::int64_t step, const Checkpoint& checkpoint, int keep) {
    return error_of([&] { save_checkpoint(folder.path(), step, checkpoint, keep); }).code();
  };
  EXPECT_EQ(code(-1, {}, 2), ErrorCode::invalid_argument);
  EXPECT_EQ(code(1, {}, 0), ErrorCode::invalid_argument);
  EXPECT_EQ(code(1, {.metadata = {{"seqgpu.hash", ""}}}, 2), ErrorCode::invalid_argument);
  EXPECT_EQ(code(1, {.parameters = {{"\xff", HostTensor(DType::u8, {})}}}, 2), ErrorCode::invalid_argument);
  EXPECT_TRUE(folder.names().empty());
  put(folder / "file", "");
  EXPECT_EQ(error_of([&] { save_checkpoint(folder / "file", 1, {}); }).code(), ErrorCode::io_failure);
  EXPECT_EQ(error_of([&] { load_latest_checkpoint(folder / "file"); }).code(), ErrorCode::io_failure);
}

TEST(Checkpoint, AnyDamagedByteOfTheNewestFallsBackToThePrevious) {
  const TemporaryFolder folder;
  save_checkpoint(folder.path(), 1, checkpoint_of(1));
  save_checkpoint(folder.path(), 2, checkpoint_of(2));
  const std::string newest = folder / file_of(2), sound = content_of(newest);
  for (std::size_t at = 0; at < sound.size(); ++at) {
    SCOPED_TRACE(at);
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (at % 8)));
    put(newest, damaged);
    const auto loaded = load_latest_checkpoint(folder.path());
    expect_is(loaded, 1);
    ASSERT_EQ(loaded->skipped.size(), 1U);
    EXPECT_NE(loaded->skipped[0].find(newest), std::string::npos) << loaded->skipped[0];
  }
  put(newest, sound);
  expect_is(load_latest_checkpoint(folder.path()), 2);
}

TEST(Checkpoint, OtherDamageFallsBackToo) {
  const TemporaryFolder folder;
  save_checkpoint(folder.path(), 1, checkpoint_of(1));
  const std::string older = content_of(folder / file_of(1)), newest = folder / file_of(2);
  TensorFile stray = read_safetensors(folder / file_of(1));
  stray.metadata.erase("seqgpu.hash");
  for (const std::string& content : {std::string(), older.substr(0, older.size() / 2), older + '\0', older,
                                     std::string(older.size(), '\0'), text_of(format_safetensors(stray))}) {
    put(newest, content);
    const auto loaded = load_latest_checkpoint(folder.path());
    expect_is(loaded, 1);
    EXPECT_EQ(loaded->skipped.size(), 1U);
  }
  std::filesystem::remove(newest);
  std::filesystem::create_directory(newest);
  expect_is(load_latest_checkpoint(folder.path()), 1);
}

TEST(Checkpoint, IfAllAreDamagedSaysSoInsteadOfStartingAfresh) {
  const TemporaryFolder folder;
  put(folder / file_of(1), "");
  put(folder / file_of(2), "damaged");
  const Error error = error_of([&] { load_latest_checkpoint(folder.path()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_file);
  EXPECT_NE(std::string(error.what()).find(file_of(1)), std::string::npos) << error.what();
  EXPECT_NE(std::string(error.what()).find(file_of(2)), std::string::npos) << error.what();
}

// Twenty times, a process that saves without pause is killed at a random moment.
TEST(Checkpoint, SurvivesBeingKilledAtAnyMoment) {
  constexpr std::int64_t kSize = 50'000;
  const TemporaryFolder folder;
  void* const shared = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* const saved = new (shared) std::atomic<std::int64_t>(0);  // last step whose save returned
  std::mt19937 random(1);
  for (int round = 0; round < 20; ++round) {
    const std::int64_t first = saved->load() + 1;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        for (std::int64_t step = first;; ++step) {
          save_checkpoint(folder.path(), step, checkpoint_of(step, kSize));
          saved->store(step);
        }
      } catch (...) {
        ::_exit(1);
      }
    }
    // In the first round, wait for one checkpoint; later ones may die before they save any.
    while (saved->load() == 0 && ::waitpid(child, nullptr, WNOHANG) == 0) ::usleep(100);
    ::usleep(std::uniform_int_distribution<useconds_t>(0, 20'000)(random));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));

    const auto loaded = load_latest_checkpoint(folder.path());
    ASSERT_TRUE(loaded.has_value());
    EXPECT_TRUE(loaded->skipped.empty());
    EXPECT_GE(loaded->step, saved->load());
    EXPECT_LE(loaded->step, saved->load() + 1);
    expect_is(loaded, loaded->step, kSize);
    saved->store(loaded->step);
    // At most: those kept, one not yet deleted, and one temporary file, as each round sweeps those before it.
    EXPECT_LE(folder.names().size(), 2U + 1U + static_cast<std::size_t>(round) + 1U);
  }
  save_checkpoint(folder.path(), saved->load() + 1, checkpoint_of(saved->load() + 1));
  EXPECT_EQ(folder.names().size(), 2U);
  ::munmap(shared, 4096);
}

}  // namespace
}  // namespace seqgpu::test
