#include "device/device.hpp"

// Stands in for host/device/cuda/ in a build without CUDA.
namespace seqgpu::device {

constexpr const char* kProblem = "this build of seqgpu has no CUDA";

std::shared_ptr<Backend> make_cuda_backend(const CudaOptions&, std::string& why) {
  why = kProblem;
  return nullptr;
}

CudaInfo find_cuda() { return {"", "", {}, kProblem}; }

}  // namespace seqgpu::device
