#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/io/files.hpp"

namespace {

// The system calls of the writer, made to fail on demand. While `armed`, calls are counted and the one numbered
// `fail_at` fails with `error`.
struct Faults {
  bool armed = false;
  int fail_at = -1;
  int error = EIO;
  std::size_t longest_write = ~std::size_t{0};
  bool interrupt = false;  // every other call fails with EINTR
  int calls = 0;

  bool fails() {
    if (!armed) return false;
    const int call = calls++;
    if (interrupt && call % 2 == 0) {
      errno = EINTR;
      return true;
    }
    if (call != fail_at) return false;
    errno = error;
    return true;
  }
} faults;

}  // namespace

// These take the place of the C library's for the whole program.
extern "C" ssize_t write(int descriptor, const void* bytes, size_t size) {
  if (faults.fails()) return -1;
  if (faults.armed) size = std::min(size, faults.longest_write);
  return ::syscall(SYS_write, descriptor, bytes, size);
}
extern "C" int fsync(int descriptor) {
  return faults.fails() ? -1 : static_cast<int>(::syscall(SYS_fsync, descriptor));
}
extern "C" int rename(const char* from, const char* to) noexcept {
  // rename() is never interrupted.
  const bool fails = !faults.interrupt && faults.fails();
  return fails ? -1 : static_cast<int>(::syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0));
}

namespace seqgpu::test {
namespace {

void write_text(const std::string& path, const std::string& text) { write_file_atomically(path, bytes_of(text)); }

class AtomicWrite : public ::testing::Test {
 protected:
  void TearDown() override { faults = {}; }
  const TemporaryFolder folder_;
  const std::string path_ = folder_ / "file";
  const std::vector<std::string> only_file_{"file"};
};

TEST_F(AtomicWrite, CreatesAndReplaces) {
  for (const std::string& text : {std::string("first"), std::string(), std::string(3'000'000, 'x')}) {
    write_text(path_, text);
    EXPECT_EQ(content_of(path_), text);
    EXPECT_EQ(folder_.names(), only_file_);
  }
}

TEST_F(AtomicWrite, TakesAPathWithoutAFolder) {
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder_.path());
  write_text("file", "text");
  std::filesystem::current_path(before);
  EXPECT_EQ(content_of(path_), "text");
}

TEST_F(AtomicWrite, FailsOnAFolderAndLeavesNothing) {
  std::filesystem::create_directory(path_);
  put(path_ + "/inside", "old");
  const Error error = error_of([&] { write_text(path_, "new"); });
  EXPECT_EQ(error.code(), ErrorCode::io_failure) << error.what();
  EXPECT_EQ(error.argument(), path_);
  EXPECT_EQ(folder_.names(), only_file_);
  EXPECT_EQ(content_of(path_ + "/inside"), "old");
}

TEST_F(AtomicWrite, FailsInAMissingFolder) {
  EXPECT_EQ(error_of([&] { write_text(folder_ / "missing/file", "new"); }).code(), ErrorCode::io_failure);
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(AtomicWrite, StepsAroundTheTemporaryFilesOfAKilledProcess) {
  const std::string left = path_ + ".tmp-" + std::to_string(::getpid()) + "-0";
  put(left, "left over");
  write_text(path_, "new");
  EXPECT_EQ(content_of(path_), "new");
  EXPECT_EQ(content_of(left), "left over");
}

TEST_F(AtomicWrite, ReplacesASymbolicLinkNotItsTarget) {
  put(folder_ / "target", "old");
  std::filesystem::create_symlink("target", path_);
  write_text(path_, "new");
  EXPECT_EQ(content_of(folder_ / "target"), "old");
  EXPECT_EQ(content_of(path_), "new");
}

TEST_F(AtomicWrite, ShortWritesAndSignalsDoNotShow) {
  const std::string text = "a text that takes several writes";
  faults = {.armed = true, .longest_write = 7, .interrupt = true};
  write_text(path_, text);
  EXPECT_GT(faults.calls, 10);
  faults = {};
  EXPECT_EQ(content_of(path_), text);
}

// Each call in turn fails: write, write, ..., fsync, rename, fsync of the folder.
TEST_F(AtomicWrite, WhicheverCallFailsTheFileIsOldOrNewButWhole) {
  const std::string old_text = "old content", new_text = "new content, longer than the old";
  for (const int error_number : {EIO, ENOSPC, EDQUOT}) {
    int failures = 0;
    for (int call = 0;; ++call) {
      SCOPED_TRACE(call);
      write_text(path_, old_text);
      faults = {.armed = true, .fail_at = call, .error = error_number, .longest_write = 10};
      bool failed = false;
      try {
        write_text(path_, new_text);
      } catch (const Error& error) {
        failed = true;
        EXPECT_EQ(error.code(), ErrorCode::io_failure) << error.what();
      }
      const int calls = faults.calls;
      faults = {};
      EXPECT_EQ(folder_.names(), only_file_);
      EXPECT_EQ(failed, call < calls);
      if (!failed) {
        EXPECT_EQ(content_of(path_), new_text);
        break;
      }
      const bool only_the_folder_was_left = call == 6;
      EXPECT_EQ(content_of(path_), only_the_folder_was_left ? new_text : old_text);
      ++failures;
    }
    EXPECT_EQ(failures, 7);  // four writes, fsync, rename, fsync
  }
}

TEST_F(AtomicWrite, ACheckpointThatCannotBeSavedCostsNoOther) {
  const auto checkpoint = [](float value) {
    Checkpoint result;
    result.parameters["w"] = HostTensor::of<float>({1}, {value});
    return result;
  };
  save_checkpoint(folder_.path(), 1, checkpoint(1.0F), 1);
  for (int call = 0; call < 4; ++call) {  // header, data, fsync, rename
    faults = {.armed = true, .fail_at = call, .error = ENOSPC};
    const Error error = error_of([&] { save_checkpoint(folder_.path(), 2, checkpoint(2.0F), 1); });
    faults = {};
    EXPECT_EQ(error.code(), ErrorCode::io_failure) << error.what();
    EXPECT_EQ(folder_.names(), std::vector<std::string>{"checkpoint-1.safetensors"});
    EXPECT_EQ(load_latest_checkpoint(folder_.path())->step, 1);
  }
}

}  // namespace
}  // namespace seqgpu::test
