#include <algorithm>
#include <cstring>
#include <mutex>
#include <type_traits>

#include "device/cuda/check.hpp"
#include "device/cuda/discover.hpp"
#include "device/cuda/health.hpp"
#include "device/cuda/resources.hpp"
#include "device/cuda/runner.hpp"
#include "device/cuda/streams.hpp"
#include "device/cuda/table.hpp"
#include "device/device.hpp"

namespace seqgpu::device {
namespace cuda {
namespace {

constexpr std::size_t kStagingBytes = std::size_t{4} << 20;
constexpr std::size_t kSmallDownload = 4096;

/// What NVIDIA recommends for cuBLAS.
std::size_t blas_workspace_bytes(const Limits& limits) {
  return std::size_t{limits.compute_capability >= 90 ? 32u : 4u} << 20;
}

/// Every call goes to the main stream, one caller at a time. A call that meets CUDA's error says what it means, and
/// once the device is lost every call says so.
class CudaBackend final : public Backend {
 public:
  CudaBackend(const CudaOptions& options, const Properties& properties)
      : device_(options.device),
        gpu_name_(properties.name),
        table_(make_table(with_only(properties.limits, options.only))),
        streams_(std::max(1, options.streams), blas_workspace_bytes(properties.limits)),
        staging_(kStagingBytes),
        small_(make_pinned_memory(kSmallDownload)),
        runner_(streams_, staging_, table_.limits, {options.graphs, options.marks}) {}

  ~CudaBackend() override { streams_.drain(); }

  DeviceKind kind() const override { return DeviceKind::cuda; }
  std::string name() const override {
    return label() + ", " + gpu_name_ + ", " + std::to_string(table_.limits.multiprocessors) + " SMs";
  }
  MemoryUse memory() const override {
    const std::lock_guard lock(mutex_);
    return use_;
  }
  int streams() const override { return streams_.size(); }
  const OpTable& table() const override { return table_; }

  void* allocate(std::int64_t bytes) override {
    return guarded("allocate", [&] {
      void* memory = nullptr;
      const cudaError_t error = cudaMalloc(&memory, static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)));
      if (error == cudaErrorMemoryAllocation) throw out_of_memory(bytes);
      check(error, "allocating device memory");
      use_.current += bytes;
      use_.peak = std::max(use_.peak, use_.current);
      return memory;
    });
  }

  void release(void* memory, std::int64_t bytes) noexcept override {
    const std::lock_guard lock(mutex_);
    use_.current -= bytes;
    static_cast<void>(cudaFree(memory));  // of any device; waits for what still uses it
    static_cast<void>(cudaGetLastError());
  }

  void upload(void* to, const void* from, std::int64_t bytes) override {
    if (bytes <= 0) return;
    guarded("upload", [&] { staging_.upload(to, from, static_cast<std::size_t>(bytes), streams_.main()); });
  }

  void download(void* to, const void* from, std::int64_t bytes) const override {
    if (bytes <= 0) return;
    guarded("download", [&] {
      const auto count = static_cast<std::size_t>(bytes);
      const bool small = count <= kSmallDownload;
      check(cudaMemcpyAsync(small ? small_.get() : to, from, count, cudaMemcpyDeviceToHost, streams_.main()),
            "copying from the device");
      check(cudaStreamSynchronize(streams_.main()), "copying from the device");
      staging_.was_waited_for();
      if (small) std::memcpy(to, small_.get(), count);
    });
  }

  void zero(void* to, std::int64_t bytes) override {
    if (bytes <= 0) return;
    guarded("zero", [&] {
      check(cudaMemsetAsync(to, 0, static_cast<std::size_t>(bytes), streams_.main()), "clearing memory");
    });
  }

  void run(Work& work) override {
    guarded(
        "run", [&] { runner_.run(work); }, &work);
  }

 private:
  static Limits with_only(Limits limits, const std::string& only) {
    limits.only = only;
    return limits;
  }
  std::string label() const { return "cuda:" + std::to_string(device_); }

  Error out_of_memory(std::int64_t bytes) const {
    static_cast<void>(cudaGetLastError());  // it is not sticky
    std::size_t free = 0, total = 0;
    static_cast<void>(cudaMemGetInfo(&free, &total));
    return Error(ErrorCode::out_of_memory, "allocate", "",
                 std::to_string(bytes) + " bytes on " + label() + ", " + std::to_string(use_.current) + " in use, " +
                     std::to_string(free) + " of " + std::to_string(total) + " free");
  }

  template <class Body>
  std::invoke_result_t<Body> guarded(const char* operation, Body body, const Work* work = nullptr) const {
    const std::lock_guard lock(mutex_);
    health_.require(operation);
    try {
      const DeviceGuard guard(device_);
      return body();
    } catch (const kernels::CudaError& error) {
      throw health_.translate(error, operation, work ? runner_.unfinished(*work) : "");
    }
  }

  int device_;
  std::string gpu_name_;
  OpTable table_;
  mutable std::mutex mutex_;
  mutable Health health_;
  Streams streams_;
  mutable Staging staging_;
  PinnedMemory small_;
  Runner runner_;
  MemoryUse use_;
};

}  // namespace
}  // namespace cuda

std::shared_ptr<Backend> make_cuda_backend(const CudaOptions& options, std::string& why) {
  cuda::Properties properties;
  why = cuda::look_up(options.device, properties);
  if (!why.empty()) return nullptr;
  try {
    const cuda::DeviceGuard guard(options.device);
    return std::make_shared<cuda::CudaBackend>(options, properties);
  } catch (const kernels::CudaError& error) {
    static_cast<void>(cudaGetLastError());
    why = "cuda:" + std::to_string(options.device) + " does not start: " + error.what();
    return nullptr;
  }
}

}  // namespace seqgpu::device
