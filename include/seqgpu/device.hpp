#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "seqgpu/export.hpp"

namespace seqgpu {

namespace device {
class Backend;
}

enum class DeviceKind : std::uint8_t { cpu, cuda };

/// Bytes of device memory held now and at most so far.
struct MemoryUse {
  std::int64_t current = 0;
  std::int64_t peak = 0;
};

/// A place where programs run; a cheap handle, shared by copies.
class SEQGPU_API Device {
 public:
  explicit Device(std::shared_ptr<device::Backend> backend) : backend_(std::move(backend)) {}

  DeviceKind kind() const;
  /// "cpu, 2 threads, avx512"
  std::string name() const;
  MemoryUse memory() const;
  device::Backend& backend() const { return *backend_; }
  const std::shared_ptr<device::Backend>& share() const { return backend_; }

 private:
  std::shared_ptr<device::Backend> backend_;
};

/// The CPU. @param threads  worker threads; 0 takes what the machine (or its control group) allows. Results do not
/// depend on it, bit for bit.
SEQGPU_API Device cpu_device(int threads = 0);

/// A GPU if this build and machine have one, else the CPU.
SEQGPU_API Device best_device();

}  // namespace seqgpu
