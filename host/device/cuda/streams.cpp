#include "device/cuda/streams.hpp"

#include <algorithm>
#include <cstring>

#include "device/cuda/check.hpp"

namespace seqgpu::device::cuda {

Streams::Streams(int count, std::size_t blas_workspace_bytes)
    : lanes_(static_cast<std::size_t>(count)), blas_workspace_bytes_(blas_workspace_bytes) {
  for (Lane& lane : lanes_) lane.stream = make_stream();
}

void Streams::prepare_blas(int i) {
  Lane& lane = lanes_[static_cast<std::size_t>(i)];
  if (lane.blas) return;
  if (!lane.workspace) lane.workspace = make_device_memory(blas_workspace_bytes_);
  lane.blas = make_blas(lane.stream, lane.workspace, blas_workspace_bytes_);
}

void Streams::drain() noexcept {
  for (const Lane& lane : lanes_) static_cast<void>(cudaStreamSynchronize(lane.stream.get()));
}

void Staging::upload(void* to, const void* from, std::size_t bytes, cudaStream_t stream) {
  constexpr std::size_t kAlign = 64;
  const void* source = from;
  if (bytes <= bytes_ - used_) {
    source = static_cast<std::byte*>(memory_.get()) + used_;
    std::memcpy(const_cast<void*>(source), from, bytes);
    used_ += std::min((bytes + kAlign - 1) / kAlign * kAlign, bytes_ - used_);
  }  // else from pageable memory, which the runtime copies before it returns
  check(cudaMemcpyAsync(to, source, bytes, cudaMemcpyHostToDevice, stream), "copying to the device");
}

}  // namespace seqgpu::device::cuda
