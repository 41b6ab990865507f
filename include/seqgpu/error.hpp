#pragma once

#include <stdexcept>
#include <string>

#include "seqgpu/export.hpp"

namespace seqgpu {

enum class ErrorCode {
  invalid_argument,  ///< a shape, dtype, label, length or option the caller passed
  invalid_file,      ///< the content of a file: malformed, truncated, hostile
  io_failure,        ///< the operating system refused: missing file, full disk
  out_of_memory,     ///< a device allocation failed; everything that existed before is still usable
  unsupported,       ///< legal, but no implementation accepts it on this device
  device_lost,       ///< the device reported a sticky error
  internal,          ///< a bug in this library
};

/// The name of a code, as in `invalid_argument`.
SEQGPU_API const char* to_string(ErrorCode code);

/// The one exception type of the library. what() reads "operation: argument detail", where the detail says what was
/// expected, what came, and how to mend it.
class SEQGPU_API Error : public std::runtime_error {
 public:
  /// @param operation  the public function at fault, e.g. "recurrent"
  /// @param argument   the argument, tensor, or "file:line:column"; may be empty
  /// @param detail     expected, found, fix
  Error(ErrorCode code, std::string operation, std::string argument, const std::string& detail);

  ErrorCode code() const noexcept { return code_; }
  const std::string& operation() const noexcept { return operation_; }
  const std::string& argument() const noexcept { return argument_; }

 private:
  ErrorCode code_;
  std::string operation_;
  std::string argument_;
};

}  // namespace seqgpu
