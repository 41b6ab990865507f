#include "device/device.hpp"

// Stands in for host/device/cuda/ in a build without CUDA.
namespace seqgpu::device {

std::shared_ptr<Backend> make_cuda_backend(const CudaOptions&, std::string& why) {
  why = "this build of seqgpu has no CUDA";
  return nullptr;
}

}  // namespace seqgpu::device
