#include "io/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <system_error>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::io {

namespace {

// Linux moves at most 2^31 - 4096 bytes in one call; smaller pieces also keep a signal's delay short.
constexpr std::size_t kPiece = std::size_t{1} << 30;
constexpr const char* kWrite = "write_file_atomically";

std::string reason(int error) { return std::system_category().message(error); }

[[noreturn]] void fail_write(const std::string& path, const std::string& what) {
  const int error = errno;
  throw Error(ErrorCode::io_failure, kWrite, path, what + ": " + reason(error));
}

// A file that exists only until it is renamed: whatever happens before, the destructor removes it.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& target) : target_(target) {
    // O_EXCL, not a global counter, tells threads apart; a killed process may also have left the first few names.
    for (int attempt = 0; attempt < 10000; ++attempt) {
      name_ = target + kTemporarySuffix + std::to_string(::getpid()) + "-" + std::to_string(attempt);
      descriptor_ = ::open(name_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (descriptor_ >= 0) return;
      if (errno != EEXIST && errno != EINTR) break;
    }
    fail_write(target_, "cannot be written: creating a temporary file beside it failed");
  }
  ~TemporaryFile() {
    if (descriptor_ >= 0) ::close(descriptor_);
    if (!renamed_) ::unlink(name_.c_str());
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void append(Bytes bytes) {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), std::min(bytes.size(), kPiece));
      if (written < 0 && errno == EINTR) continue;
      if (written == 0) errno = ENOSPC;  // no progress and no error code: do not spin
      if (written <= 0) fail_write(target_, "cannot be written");
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }

  void become_target() {
    while (::fsync(descriptor_) != 0) {
      if (errno != EINTR) fail_write(target_, "cannot be synced to the disk");
    }
    // Network file systems report late write errors here. After EINTR the descriptor is closed all the same.
    const int closed = ::close(descriptor_);
    descriptor_ = -1;
    if (closed != 0 && errno != EINTR) fail_write(target_, "cannot be closed");
    if (::rename(name_.c_str(), target_.c_str()) != 0) fail_write(target_, "cannot be replaced");
    renamed_ = true;
  }

 private:
  std::string target_;
  std::string name_;
  int descriptor_ = -1;
  bool renamed_ = false;
};

// The rename is in the folder's data: without this it can be lost though the file is not.
void sync_folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_write(path, "is in place, but its folder cannot be opened to sync it");
  int result = 0;
  do {
    result = ::fsync(descriptor);
  } while (result != 0 && errno == EINTR);
  const int error = errno;
  ::close(descriptor);
  // EINVAL: the file system has no such notion for folders.
  if (result != 0 && error != EINVAL) {
    errno = error;
    fail_write(path, "is in place, but its folder cannot be synced to the disk");
  }
}

}  // namespace

InputFile::InputFile(const std::string& path, const std::string& operation) : path_(path), operation_(operation) {
  // Without O_NONBLOCK, opening a named pipe would wait for a writer.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) fail("cannot be opened: " + reason(errno));
  struct stat status {};
  std::string trouble;
  if (::fstat(descriptor_, &status) != 0) {
    trouble = "cannot be examined: " + reason(errno);
  } else if (!S_ISREG(status.st_mode)) {
    trouble = "is not a regular file";
  }
  if (!trouble.empty()) {
    ::close(descriptor_);  // no destructor runs for a constructor that throws
    fail(trouble);
  }
  size_ = static_cast<std::uint64_t>(status.st_size);
}

InputFile::~InputFile() { ::close(descriptor_); }

void InputFile::fail(const std::string& what) const { throw Error(ErrorCode::io_failure, operation_, path_, what); }

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const ssize_t count = ::pread(descriptor_, out.data(), std::min(out.size(), kPiece), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail("cannot be read at byte " + std::to_string(offset) + ": " + reason(errno));
    if (count == 0) fail("became shorter while it was read, at byte " + std::to_string(offset));
    out = out.subspan(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
}

void write_parts_atomically(const std::string& path, std::span<const Bytes> parts) {
  {
    TemporaryFile file(path);
    for (const Bytes part : parts) file.append(part);
    file.become_target();
  }
  sync_folder_of(path);
}

}  // namespace seqgpu::io

namespace seqgpu {

void write_file_atomically(const std::string& path, std::span<const std::byte> bytes) {
  const io::Bytes parts[] = {bytes};
  io::write_parts_atomically(path, parts);
}

}  // namespace seqgpu
