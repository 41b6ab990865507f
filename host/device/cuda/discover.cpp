#include "device/cuda/discover.hpp"

#include <cuda_runtime_api.h>

#include <cstdio>

namespace seqgpu::device {
namespace cuda {
namespace {

constexpr int kOldest = 80;  // the oldest compute capability that kernels are compiled for

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}
std::string capability_text(int capability) {
  return std::to_string(capability / 10) + "." + std::to_string(capability % 10);
}

std::string text_of(cudaError_t error) {
  return std::string(cudaGetErrorName(error)) + ": " + cudaGetErrorString(error);
}

/// The version that the driver serves; 0 where there is none.
int driver_version() {
  int version = 0;
  if (cudaDriverGetVersion(&version) != cudaSuccess) version = 0;
  static_cast<void>(cudaGetLastError());
  return version;
}

/// The number of GPUs, or 0 and a reason.
int count_devices(std::string& why) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  static_cast<void>(cudaGetLastError());
  if (error == cudaSuccess && count > 0) return count;
  const int driver = driver_version();
  if (error == cudaErrorNoDevice || error == cudaSuccess) {
    why = "no NVIDIA GPU is visible";
  } else if (error == cudaErrorInsufficientDriver && driver == 0) {
    why = "no NVIDIA driver is installed";
  } else if (error == cudaErrorInsufficientDriver) {
    why = "the NVIDIA driver serves CUDA " + version_text(driver) + " at most, and this build needs " +
          version_text(CUDART_VERSION);
  } else {
    why = "CUDA does not start: " + text_of(error);
  }
  return 0;
}

Limits limits_of(const cudaDeviceProp& p) {
  Limits limits;
  limits.compute_capability = 10 * p.major + p.minor;
  limits.multiprocessors = p.multiProcessorCount;
  limits.shared_bytes_per_block = static_cast<std::int64_t>(p.sharedMemPerBlockOptin);
  limits.registers_per_multiprocessor = p.regsPerMultiprocessor;
  // 8 blocks run everywhere; the data-centre parts take 16 where a kernel asks for it.
  if (p.clusterLaunch) limits.cluster_blocks = p.major == 9 || p.major == 10 ? 16 : 8;
  return limits;
}

std::string line_of(const cudaDeviceProp& p) {
  char memory[32];
  std::snprintf(memory, sizeof memory, "%.1f GiB", static_cast<double>(p.totalGlobalMem) / (1 << 30));
  return std::string(p.name) + ", compute capability " + capability_text(10 * p.major + p.minor) + ", " +
         std::to_string(p.multiProcessorCount) + " SMs, " + memory;
}

}  // namespace

std::string look_up(int device, Properties& properties) {
  std::string why;
  const int count = count_devices(why);
  if (count == 0) return why;
  const std::string name = "cuda:" + std::to_string(device);
  if (device >= count) {
    return "there is no " + name + ": " +
           (count == 1 ? "cuda:0 is" : "cuda:0 to cuda:" + std::to_string(count - 1) + " are") + " visible";
  }
  cudaDeviceProp p{};
  const cudaError_t error = cudaGetDeviceProperties(&p, device);
  static_cast<void>(cudaGetLastError());
  if (error != cudaSuccess) return name + " does not answer: " + text_of(error);
  properties = {p.name, limits_of(p)};
  properties.limits.device = device;
  if (properties.limits.compute_capability < kOldest) {
    return name + ", " + p.name + ", has compute capability " + capability_text(properties.limits.compute_capability) +
           ", and " + capability_text(kOldest) + " or newer is needed";
  }
  return "";
}

}  // namespace cuda

CudaInfo find_cuda() {
  CudaInfo info;
  info.toolkit = cuda::version_text(CUDART_VERSION);
  if (const int driver = cuda::driver_version()) info.driver = cuda::version_text(driver);
  cuda::Properties properties;
  info.problem = cuda::look_up(0, properties);
  std::string why;
  const int count = cuda::count_devices(why);
  for (int i = 0; i < count; ++i) {
    cudaDeviceProp p{};
    info.devices.push_back(cudaGetDeviceProperties(&p, i) == cudaSuccess ? cuda::line_of(p) : "does not answer");
  }
  static_cast<void>(cudaGetLastError());
  return info;
}

}  // namespace seqgpu::device
