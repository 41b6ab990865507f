#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstddef>
#include <utility>

// Handles of the CUDA runtime that destroy themselves: move-only, null only before they are
// made and after they are moved from. Destruction ignores errors, as
// the device may be lost by then. The device they belong to must be current (DeviceGuard) when they are made.
namespace seqgpu::device::cuda {

/// How each kind is destroyed.
struct Destroy {
  void operator()(cudaStream_t stream) const { static_cast<void>(cudaStreamDestroy(stream)); }
  void operator()(cudaEvent_t event) const { static_cast<void>(cudaEventDestroy(event)); }
  void operator()(cudaGraph_t graph) const { static_cast<void>(cudaGraphDestroy(graph)); }
  void operator()(cudaGraphExec_t exec) const { static_cast<void>(cudaGraphExecDestroy(exec)); }
  void operator()(cublasHandle_t handle) const { static_cast<void>(cublasDestroy(handle)); }
};
struct FreeDevice {
  void operator()(void* memory) const { static_cast<void>(cudaFree(memory)); }
};
struct FreePinned {
  void operator()(void* memory) const { static_cast<void>(cudaFreeHost(memory)); }
};

template <class Handle, class Destroyer = Destroy>
class Owned {
 public:
  Owned() = default;
  explicit Owned(Handle handle) : handle_(handle) {}
  Owned(Owned&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Owned& operator=(Owned&& other) noexcept {
    if (this != &other) {
      reset();
      handle_ = std::exchange(other.handle_, nullptr);
    }
    return *this;
  }
  ~Owned() { reset(); }

  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }
  void reset() noexcept {
    if (handle_) Destroyer{}(std::exchange(handle_, nullptr));
  }

 private:
  Handle handle_ = nullptr;
};

using Stream = Owned<cudaStream_t>;
using Event = Owned<cudaEvent_t>;
using GraphRef = Owned<cudaGraph_t>;
using GraphExec = Owned<cudaGraphExec_t>;
using BlasHandle = Owned<cublasHandle_t>;
using DeviceMemory = Owned<void*, FreeDevice>;
using PinnedMemory = Owned<void*, FreePinned>;

/// A stream that does not wait for the default stream. All of these throw kernels::CudaError.
Stream make_stream();
enum class EventUse { order, timing };
Event make_event(EventUse use);
DeviceMemory make_device_memory(std::size_t bytes);
PinnedMemory make_pinned_memory(std::size_t bytes);

/// cuBLAS for one stream, with a workspace of its own, so that neither capture nor determinism depends on memory that
/// cuBLAS finds for itself. Started at first need, as most streams multiply nothing.
class Blas {
 public:
  /// The stream must outlive it.
  Blas(cudaStream_t stream, std::size_t workspace_bytes) : stream_(stream), workspace_bytes_(workspace_bytes) {}

  /// At its first call the stream may not be captured: the first run of a program never is.
  cublasHandle_t handle();

 private:
  cudaStream_t stream_;
  std::size_t workspace_bytes_;
  DeviceMemory workspace_;
  BlasHandle handle_;  // destroyed first
};

/// Makes a device current on this thread, and the previous one again at the end: an application may use another.
class DeviceGuard {
 public:
  explicit DeviceGuard(int device);
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  ~DeviceGuard();

 private:
  int previous_ = -1;  // -1: it was current
};

}  // namespace seqgpu::device::cuda
