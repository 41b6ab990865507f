#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "device/device.hpp"

namespace seqgpu::support {

/// Forwards to another backend and counts what it is asked for.
class CountingBackend final : public device::Backend {
 public:
  explicit CountingBackend(std::shared_ptr<device::Backend> inner) : inner_(std::move(inner)) {}
  void reset() {
    downloads = uploads = zeros = runs = 0;
    fetched_bytes = 0;
    operations.clear();
  }

  mutable int downloads = 0;
  int uploads = 0, zeros = 0, runs = 0;
  std::int64_t fetched_bytes = 0;
  std::set<std::string> operations;  // that ran

  DeviceKind kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }
  MemoryUse memory() const override { return inner_->memory(); }
  int streams() const override { return inner_->streams(); }
  const device::OpTable& table() const override { return inner_->table(); }
  void* allocate(std::int64_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory, std::int64_t bytes) noexcept override { inner_->release(memory, bytes); }
  void upload(void* to, const void* from, std::int64_t bytes) override {
    ++uploads;
    inner_->upload(to, from, bytes);
  }
  void download(void* to, const void* from, std::int64_t bytes) const override {
    ++downloads;
    inner_->download(to, from, bytes);
  }
  void zero(void* to, std::int64_t bytes) override {
    ++zeros;
    inner_->zero(to, bytes);
  }
  void run(device::Work& work) override {
    ++runs;
    for (const auto& fetch : work.fetches) fetched_bytes += fetch.bytes;
    for (const device::Launch& launch : work.launches) operations.insert(op::name_of(*launch.desc));
    inner_->run(work);
  }

 private:
  std::shared_ptr<device::Backend> inner_;
};

}  // namespace seqgpu::support
