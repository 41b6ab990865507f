#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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
  /// "cpu, 2 threads, avx512"; "cuda:0, NVIDIA H200, 132 SMs"
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

/// GPU number `index`. @throws Error{unsupported} with the reason why it cannot be used
SEQGPU_API Device cuda_device(int index = 0);

/// A GPU if this build and machine have one, else the CPU. The environment variable SEQGPU_DEVICE, `cpu` or `cuda:N`,
/// overrides. @throws Error{invalid_argument} for another value of it, Error{unsupported} where that GPU cannot be used
SEQGPU_API Device best_device();

/// What best_device() takes, and why, in a few words: "cuda:0 is there", "no NVIDIA driver is installed".
struct DeviceChoice {
  Device device;
  std::string reason;
};
SEQGPU_API DeviceChoice choose_device();

/// What this build and this machine have of CUDA.
struct CudaInfo {
  std::string toolkit;               ///< the version built with, "13.0"; empty in a build without CUDA
  std::string driver;                ///< the newest version that the driver serves; empty where there is no driver
  std::vector<std::string> devices;  ///< "NVIDIA H200, compute capability 9.0, 132 SMs, 139.8 GiB"
  std::string problem;               ///< why cuda:0 cannot be used; empty if it can
};
SEQGPU_API CudaInfo cuda_info();

}  // namespace seqgpu
