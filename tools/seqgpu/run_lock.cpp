#include "run_lock.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <system_error>

#include "run_folder.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& detail) {
  throw Error(ErrorCode::io_failure, "run folder", path, detail);
}

// " (process 1234)", or nothing: the number in the file may be of one who died, or not be written yet.
std::string holder(int file) {
  std::array<char, 24> text{};
  const ssize_t size = pread(file, text.data(), text.size(), 0);
  pid_t process = 0;
  if (size > 0) std::from_chars(text.data(), text.data() + size, process);
  const bool lives = process > 0 && (kill(process, 0) == 0 || errno == EPERM);
  return lives ? fmt::format(" (process {})", process) : "";
}

// For the messages of those that come later; a lock without a name is as good.
void sign(int file) {
  const std::string text = fmt::format("{}\n", getpid());
  const auto size = static_cast<ssize_t>(text.size());
  [[maybe_unused]] const bool signed_ = ftruncate(file, 0) == 0 && pwrite(file, text.data(), text.size(), 0) == size;
}

}  // namespace

RunLock::RunLock(const std::string& folder) {
  const RunFolder run{folder};
  run.create();
  file_ = open(run.lock().c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (file_ < 0) refuse(run.lock(), "cannot be opened: " + std::generic_category().message(errno));
  int result;
  do {
    result = flock(file_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result == 0) {
    sign(file_);
    return;
  }
  const int reason = errno;
  const std::string who = holder(file_);
  close(file_);
  if (reason == EWOULDBLOCK) {
    refuse(folder, fmt::format("is being written by another seqgpu{}; wait until it has ended, stop it, or take "
                               "another folder (--run)",
                               who));
  }
  refuse(run.lock(), fmt::format("cannot be locked: {}; take a folder on a file system that has locks",
                                 std::generic_category().message(reason)));
}

RunLock::~RunLock() { close(file_); }

}  // namespace seqgpu::tool
