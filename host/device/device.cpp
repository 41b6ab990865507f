#include "device/device.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <utility>

#include "seqgpu/error.hpp"

#if defined(__linux__)
#include <sched.h>
#endif

namespace seqgpu {
namespace {

/// What SEQGPU_DEVICE names.
Device asked_device(const std::string& name) {
  const auto wrong = [&](ErrorCode code, const std::string& detail) {
    return Error(code, "best_device", "SEQGPU_DEVICE", detail);
  };
  if (name == "cpu") return cpu_device();
  constexpr std::string_view kPrefix = "cuda:";
  int index = -1;
  const char* const end = name.data() + name.size();
  const bool is_cuda = name.starts_with(kPrefix);
  const auto [stop, error] = std::from_chars(name.data() + (is_cuda ? kPrefix.size() : name.size()), end, index);
  if (!is_cuda || error != std::errc() || stop != end || index < 0) {
    throw wrong(ErrorCode::invalid_argument, "must be cpu or cuda:N with N of 0 or more, got '" + name + "'");
  }
  std::string why;
  device::CudaOptions options;
  options.device = index;
  auto cuda = device::make_cuda_backend(options, why);
  if (!cuda) throw wrong(ErrorCode::unsupported, "is " + name + ", but " + why);
  return Device(std::move(cuda));
}

}  // namespace

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

Device cuda_device(int index) {
  if (index < 0) {
    throw Error(ErrorCode::invalid_argument, "cuda_device", "index", "must be 0 or more, got " + std::to_string(index));
  }
  std::string why;
  device::CudaOptions options;
  options.device = index;
  auto cuda = device::make_cuda_backend(options, why);
  if (!cuda) throw Error(ErrorCode::unsupported, "cuda_device", "", why);
  return Device(std::move(cuda));
}

DeviceChoice choose_device() {
  const char* asked = std::getenv("SEQGPU_DEVICE");
  if (asked && *asked) return {asked_device(asked), std::string("SEQGPU_DEVICE=") + asked};
  std::string why;
  if (auto cuda = device::make_cuda_backend({}, why)) return {Device(std::move(cuda)), "cuda:0 can be used"};
  return {cpu_device(), why};
}

Device best_device() { return choose_device().device; }

CudaInfo cuda_info() { return device::find_cuda(); }

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
