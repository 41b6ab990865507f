#pragma once

#include <memory>
#include <set>
#include <string>
#include <utility>

#include "benchmarks/support/profiler.hpp"
#include "device/device.hpp"

namespace seqgpu::benchmark {

/// Forwards to another backend. Times every run() alone, without what a session copies before and after; notes which
/// implementations the recurrent operations took; and lets a benchmark ask for one strategy by name, while parameters
/// and buffers stay where they are.
class SteeredBackend final : public device::Backend {
 public:
  explicit SteeredBackend(std::shared_ptr<device::Backend> inner, Clock clock = Clock::wall)
      : inner_(std::move(inner)), clock_(clock), table_(inner_->table()) {}

  /// The strategy that programs planned from now on take; empty: the device's own choice.
  void ask_for(const std::string& strategy) { table_.limits.only = strategy; }
  /// From now on run() only notes what it would run.
  void pretend(bool yes) { pretend_ = yes; }
  double last_seconds() const { return last_seconds_; }
  /// "cluster-persistent", or several joined by '+', in the last run.
  std::string last_strategy() const {
    std::string names;
    for (const std::string& name : recurrent_) names += (names.empty() ? "" : "+") + name;
    return names;
  }

  DeviceKind kind() const override { return inner_->kind(); }
  std::string name() const override { return inner_->name(); }
  MemoryUse memory() const override { return inner_->memory(); }
  int streams() const override { return inner_->streams(); }
  const device::OpTable& table() const override { return table_; }
  void* allocate(std::int64_t bytes) override { return inner_->allocate(bytes); }
  void release(void* memory, std::int64_t bytes) noexcept override { inner_->release(memory, bytes); }
  void upload(void* to, const void* from, std::int64_t bytes) override { inner_->upload(to, from, bytes); }
  void download(void* to, const void* from, std::int64_t bytes) const override { inner_->download(to, from, bytes); }
  void zero(void* to, std::int64_t bytes) override { inner_->zero(to, bytes); }

  void run(device::Work& work) override {
    recurrent_.clear();
    for (const device::Launch& launch : work.launches) {
      if (std::string(op::name_of(*launch.desc)).rfind("recurrent", 0) == 0) {
        recurrent_.insert(launch.implementation->name);
      }
    }
    if (pretend_) return;
    last_seconds_ = timed(clock_, [&] { inner_->run(work); });
  }

 private:
  std::shared_ptr<device::Backend> inner_;
  Clock clock_;
  device::OpTable table_;
  bool pretend_ = false;
  double last_seconds_ = 0;
  std::set<std::string> recurrent_;
};

}  // namespace seqgpu::benchmark
