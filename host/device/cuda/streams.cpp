#include "device/cuda/streams.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "device/cuda/check.hpp"

namespace seqgpu::device::cuda {

Streams::Streams(int count, std::size_t blas_workspace_bytes) {
  for (int i = 0; i < count; ++i) {
    Stream stream = make_stream();
    const cudaStream_t handle = stream.get();
    lanes_.push_back(
        {std::move(stream), Blas(handle, blas_workspace_bytes), make_stream(), make_event(EventUse::order)});
  }
}

cudaStream_t Streams::fork_beside(int i) const {
  const Lane& lane = lanes_[static_cast<std::size_t>(i)];
  check(cudaEventRecord(lane.forked.get(), lane.stream.get()), "forking a stream");
  check(cudaStreamWaitEvent(lane.beside.get(), lane.forked.get(), 0), "forking a stream");
  return lane.beside.get();
}

void Streams::join_beside(int i) const {
  const Lane& lane = lanes_[static_cast<std::size_t>(i)];
  check(cudaEventRecord(lane.forked.get(), lane.beside.get()), "joining a stream");
  check(cudaStreamWaitEvent(main(), lane.forked.get(), 0), "joining a stream");
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
