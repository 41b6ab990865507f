#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "support.hpp"

// CUDA's runtime for the contestants that are not ours: checked calls, memory, and timing by events.
namespace seqgpu::benchmark {

inline void check(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // one that is not sticky is told once
  throw std::runtime_error(std::string(what) + ": " + cudaGetErrorName(code));
}

/// Device memory that frees itself.
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t bytes = 0) : bytes_(bytes) {
    if (bytes > 0) check(cudaMalloc(&data_, bytes), "cudaMalloc");
  }
  DeviceMemory(DeviceMemory&& other) noexcept { *this = std::move(other); }
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~DeviceMemory() { cudaFree(data_); }

  template <class T = void>
  T* data() const {
    return static_cast<T*>(data_);
  }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class Event {
 public:
  Event() { check(cudaEventCreate(&event_), "cudaEventCreate"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event_); }
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  double microseconds_since(const Event& before) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, before.event_, event_), "cudaEventElapsedTime");
    return 1e3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

struct Times {
  double us_median = 0, us_min = 0, wall_us_median = 0;
  int repeats = 0;
};

/// Times `body`, which enqueues on `stream`. us: between events, all repeats enqueued at once, so that a contestant
/// whose launches keep ahead of the GPU is charged for the GPU only. wall: each call waited for.
template <class Body>
Times time_on(cudaStream_t stream, Body&& body) {
  const auto waited = [&] {
    const auto start = std::chrono::steady_clock::now();
    body();
    check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    return seconds_since(start);
  };
  for (int i = 0; i < 3; ++i) waited();
  Times times;
  times.repeats = repeats_for(waited());
  std::vector<Event> events(static_cast<std::size_t>(times.repeats) + 1);
  events[0].record(stream);
  for (std::size_t i = 1; i < events.size(); ++i) {
    body();
    events[i].record(stream);
  }
  check(cudaStreamSynchronize(stream), "cudaStreamSynchronize");
  std::vector<double> between, wall;
  for (std::size_t i = 1; i < events.size(); ++i) between.push_back(events[i].microseconds_since(events[i - 1]));
  for (int i = 0; i < std::min(times.repeats, 20); ++i) wall.push_back(1e6 * waited());
  times.us_median = median(between);
  times.us_min = *std::min_element(between.begin(), between.end());
  times.wall_us_median = median(wall);
  return times;
}

}  // namespace seqgpu::benchmark
