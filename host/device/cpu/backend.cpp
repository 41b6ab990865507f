#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/lanes.hpp"
#include "device/cpu/table.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::device {
namespace {

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, double least_shared) : lanes_(threads, least_shared) {}

  DeviceKind kind() const override { return DeviceKind::cpu; }
  std::string name() const override {
    return "cpu, " + std::to_string(lanes_.threads()) + (lanes_.threads() == 1 ? " thread, " : " threads, ") +
           cpu::simd_name();
  }
  MemoryUse memory() const override { return {current_.load(), peak_.load()}; }
  int streams() const override { return std::min(lanes_.threads(), 4); }
  const OpTable& table() const override { return cpu::table(); }

  void* allocate(std::int64_t bytes) override {
    void* memory =
        ::operator new (static_cast<std::size_t>(std::max<std::int64_t>(bytes, 1)), std::align_val_t{64}, std::nothrow);
    if (!memory) {
      throw Error(ErrorCode::out_of_memory, "allocate", "",
                  std::to_string(bytes) + " bytes on the CPU, " + std::to_string(current_.load()) + " in use");
    }
    const std::int64_t now = current_.fetch_add(bytes) + bytes;
    std::int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {
    }
    return memory;
  }
  void release(void* memory, std::int64_t bytes) noexcept override {
    current_.fetch_sub(bytes);
    ::operator delete (memory, std::align_val_t{64});
  }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
  void download(void* to, const void* from, std::int64_t bytes) const override {
    if (bytes > 0) std::memcpy(to, from, static_cast<std::size_t>(bytes));
  }
  void zero(void* to, std::int64_t bytes) override {
    if (bytes > 0) std::memset(to, 0, static_cast<std::size_t>(bytes));
  }
  void run(Work& work) override {
    lanes_.run(work);
    for (const Work::Fetch& fetch : work.fetches) download(fetch.to, fetch.from, fetch.bytes);
  }

 private:
  cpu::Lanes lanes_;
  std::atomic<std::int64_t> current_{0}, peak_{0};
};

}  // namespace

std::shared_ptr<Backend> make_cpu_backend(int threads, double least_shared) {
  return std::make_shared<CpuBackend>(threads, least_shared);
}

}  // namespace seqgpu::device
