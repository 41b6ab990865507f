#pragma once

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace seqgpu::benchmark {

/// Seconds that a line of memory takes from one core to another and back: the least mean of several rounds between the
/// first two of OpenMP's threads. Two cores of a virtual machine may share a cache or not, and the host may change that
/// from one second to the next.
inline double round_trip() {
  constexpr std::uint64_t kTimes = 1000;
  struct alignas(128) Line {
    std::atomic<std::uint64_t> value{0};
  } there, back;
  double best = 1;
#pragma omp parallel num_threads(2)
  for (std::uint64_t round = 0; round < 5; ++round) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = round * kTimes + 1; i <= (round + 1) * kTimes; ++i) {
      if (omp_get_thread_num() == 0) {
        there.value.store(i, std::memory_order_release);
        while (back.value.load(std::memory_order_acquire) < i) continue;
      } else {
        while (there.value.load(std::memory_order_acquire) < i) continue;
        back.value.store(i, std::memory_order_release);
      }
    }
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (omp_get_thread_num() == 0) best = std::min(best, seconds.count() / kTimes);
  }
  return best;
}

}  // namespace seqgpu::benchmark
