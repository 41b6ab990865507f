#pragma once

#include <thread>
#include <vector>

#include "device/implementation.hpp"

namespace seqgpu::support {

/// Runs tiles one after another.
class SerialParallel final : public device::Parallel {
 public:
  void run(std::int64_t tiles, Body body, void* context) override {
    for (std::int64_t i = 0; i < tiles; ++i) body(context, i);
  }
};

/// Runs tiles on several threads, strided.
class ThreadedParallel final : public device::Parallel {
 public:
  explicit ThreadedParallel(int threads) : threads_(threads) {}
  void run(std::int64_t tiles, Body body, void* context) override {
    std::vector<std::thread> workers;
    for (int w = 0; w < threads_; ++w)
      workers.emplace_back([=, this] {
        for (std::int64_t i = w; i < tiles; i += threads_) body(context, i);
      });
    for (std::thread& worker : workers) worker.join();
  }
  int threads() const override { return threads_; }

 private:
  int threads_;
};

}  // namespace seqgpu::support
