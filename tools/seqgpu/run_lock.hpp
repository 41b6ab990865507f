#pragma once

#include <string>

namespace seqgpu::tool {

/// One writer in a folder: held from construction to destruction, and given up by the kernel when the process dies,
/// however it dies. Readers need none, as every file of a run is replaced as a whole. The file `<folder>/lock` stays
/// behind; that it is there says nothing.
class RunLock {
 public:
  /// Creates the folder if need be.
  /// @throws Error{io_failure} if another process holds the lock, naming the folder and, where known, the process
  explicit RunLock(const std::string& folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int file_;
};

}  // namespace seqgpu::tool
