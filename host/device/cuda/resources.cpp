#include "device/cuda/resources.hpp"

#include "device/cuda/check.hpp"

namespace seqgpu::device::cuda {

Stream make_stream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
  return Stream(stream);
}

Event make_event(EventUse use) {
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, use == EventUse::timing ? cudaEventDefault : cudaEventDisableTiming),
        "making an event");
  return Event(event);
}

DeviceMemory make_device_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMalloc(&memory, bytes), "allocating device memory");
  return DeviceMemory(memory);
}

PinnedMemory make_pinned_memory(std::size_t bytes) {
  void* memory = nullptr;
  check(cudaMallocHost(&memory, bytes), "allocating pinned memory");
  return PinnedMemory(memory);
}

cublasHandle_t Blas::handle() {
  if (handle_) return handle_.get();
  if (!workspace_) workspace_ = make_device_memory(workspace_bytes_);
  cublasHandle_t handle = nullptr;
  check(cublasCreate(&handle), "starting cuBLAS");
  BlasHandle blas(handle);
  check(cublasSetStream(handle, stream_), "giving cuBLAS a stream");  // forgets the workspace: first
  check(cublasSetWorkspace(handle, workspace_.get(), workspace_bytes_), "giving cuBLAS a workspace");
  handle_ = std::move(blas);
  return handle;
}

DeviceGuard::DeviceGuard(int device) {
  int current = -1;
  check(cudaGetDevice(&current), "asking for the current device");
  if (current == device) return;
  check(cudaSetDevice(device), "choosing a device");
  previous_ = current;
}

DeviceGuard::~DeviceGuard() {
  if (previous_ >= 0) static_cast<void>(cudaSetDevice(previous_));
}

}  // namespace seqgpu::device::cuda
