#include "device/device.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "seqgpu/error.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

namespace seqgpu {

DeviceKind Device::kind() const { return backend_->kind(); }
std::string Device::name() const { return backend_->name(); }
MemoryUse Device::memory() const { return backend_->memory(); }

Device cpu_device(int threads) {
  if (threads < 0) {
    throw Error(ErrorCode::invalid_argument, "cpu_device", "threads",
                "must be 0 (all) or more, got " + std::to_string(threads));
  }
  if (threads == 0) {
    threads = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
    cpu_set_t allowed;  // taskset and control groups count, hardware_concurrency does not know them all
    if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) threads = CPU_COUNT(&allowed);
#endif
  }
  return Device(device::make_cpu_backend(std::max(1, threads)));
}

Device best_device() {
  std::string why;
  if (auto cuda = device::make_cuda_backend({}, why)) return Device(std::move(cuda));
  return cpu_device();
}

namespace device {

Choice choose(const OpTable& table, const op::AnyDesc& desc) {
  Choice choice;
  const std::vector<Implementation>& rows = table.rows[desc.index()];
  const std::string& only = table.limits.only;
  const bool asked = std::any_of(rows.begin(), rows.end(), [&](const Implementation& row) { return row.name == only; });
  for (const Implementation& row : rows) {
    if (asked && row.name != only) continue;
    const std::string reason = row.accepts ? row.accepts(desc, table.limits) : std::string();
    if (reason.empty()) {
      choice.implementation = &row;
      return choice;
    }
    choice.rejected += (choice.rejected.empty() ? "" : "; ") + std::string(row.name) + ": " + reason;
  }
  throw Error(ErrorCode::unsupported, op::name_of(desc), "",
              "has no implementation on this device" + (choice.rejected.empty() ? "" : " (" + choice.rejected + ")"));
}

Buffer::Buffer(std::shared_ptr<Backend> backend, std::int64_t bytes)
    : backend_(std::move(backend)), data_(static_cast<std::byte*>(backend_->allocate(bytes))), bytes_(bytes) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    backend_ = std::move(other.backend_);
    data_ = std::exchange(other.data_, nullptr);
    bytes_ = std::exchange(other.bytes_, 0);
  }
  return *this;
}

void Buffer::reset() noexcept {
  if (data_) backend_->release(data_, bytes_);
  data_ = nullptr;
  bytes_ = 0;
}

}  // namespace device
}  // namespace seqgpu
