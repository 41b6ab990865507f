#pragma once

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "device/device.hpp"

namespace seqgpu::device::cpu {

/// Streams as worker threads. Lane l walks the launches of streams s with s % lanes == l; the caller is lane 0. A lane
/// that waits, or has nothing left, works on tiles that busy lanes offer through Parallel. A program so small that it
/// would be over before a sleeping thread has woken runs on the caller alone.
class Lanes {
 public:
  explicit Lanes(int threads, double least_shared = kLeastShared);
  ~Lanes();
  int threads() const { return threads_; }
  void run(Work& work);

 private:
  /// A lane's offer of tiles to the others.
  struct alignas(64) Offer final : Parallel {
    Lanes* lanes = nullptr;
    std::atomic<bool> open{false};
    std::atomic<int> helpers{0};
    std::atomic<std::int64_t> next{0};
    std::int64_t tiles = 0;
    Body body = nullptr;
    void* context = nullptr;
    void run(std::int64_t count, Body f, void* c) override;
    int threads() const override { return lanes->threads_; }
  };

  void start(Work& work, std::size_t launch, int lane, Parallel& parallel) const;
  void run_alone(Work& work);
  void worker(int lane);
  void walk(int lane);
  bool help();
  void wait_for(int launch);
  void fail(int launch, std::exception_ptr error);

  int threads_;
  double least_shared_;
  std::vector<std::thread> workers_;
  std::unique_ptr<Offer[]> offers_;
  std::unique_ptr<std::atomic<std::uint32_t>[]> done_;  // per launch: the epoch in which it ended
  std::size_t done_size_ = 0;
  Work* work_ = nullptr;
  std::chrono::steady_clock::time_point start_;
  std::atomic<std::uint32_t> epoch_{0};  // odd: running
  int owners_ = 1;                       // the first lanes: those that launches are for
  std::atomic<int> busy_{0};             // of these, how many are still walking
  std::atomic<int> inside_{0};           // workers that may still touch this run
  std::atomic<bool> failed_{false};
  std::atomic<bool> stop_{false};
  std::atomic_flag failure_lock_ = ATOMIC_FLAG_INIT;
  int failed_launch_ = -1;
  std::exception_ptr failure_;
};

}  // namespace seqgpu::device::cpu
