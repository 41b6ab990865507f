#pragma once

#include <string>
#include <vector>

#include "kernels/block/cuda.cuh"

// Planted faults: small broken kernels, and what each mode of the emulator must say of them.

namespace seqgpu::tests {

/// A broken kernel. The texts are regular expressions of what must be found; nullptr: this mode is not held to it.
/// "wrong result" stands for an output that differs from the right one.
struct Fault {
  const char* name;
  std::string (*run)();               // what was noticed; empty: nothing
  const char* every_order = nullptr;  // fast and ASan builds: forward, reverse and every seed
  const char* some_seed = nullptr;    // fast builds, random order: at least one of 8 seeds
  const char* asan = nullptr;         // ASan and UBSan, which end the process
  const char* check = nullptr;        // check mode, forward
};

std::vector<Fault> barrier_faults();
std::vector<Fault> memory_faults();
std::vector<Fault> warp_faults();
std::vector<Fault> async_faults();

/// A correct kernel that a careless checker would object to: must be silent, and right, in every mode and order.
struct Control {
  const char* name;
  std::string (*run)();
};
std::vector<Control> barrier_controls();
std::vector<Control> memory_controls();
std::vector<Control> warp_controls();
std::vector<Control> async_controls();

/// Device memory of one test.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count) : count_(count) {
    kernels::check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), "cudaMalloc");
  }
  Array(std::size_t count, T value) : Array(count) { set(std::vector<T>(count, value)); }
  explicit Array(const std::vector<T>& values) : Array(values.size()) { set(values); }
  ~Array() { free(); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  T* data() const { return data_; }
  void free() {
    if (data_) cudaFree(data_);
    data_ = nullptr;
  }
  std::vector<T> get() const {
    std::vector<T> values(count_);
    kernels::check(cudaMemcpy(values.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost), "cudaMemcpy");
    return values;
  }

 private:
  void set(const std::vector<T>& values) {
    kernels::check(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
  std::size_t count_;
  T* data_ = nullptr;
};

/// Waits for the device. @throws kernels::CudaError with the emulator's report
inline void finish() { kernels::check(cudaDeviceSynchronize(), "cudaDeviceSynchronize"); }

/// "" when the first `count` elements are right(i), after waiting for the device.
template <class T, class Right>
std::string compare(const Array<T>& array, std::size_t count, Right right) {
  finish();
  const std::vector<T> values = array.get();
  for (std::size_t i = 0; i < count; ++i)
    if (!(values[i] == static_cast<T>(right(static_cast<int>(i)))))
      return "wrong result: element " + std::to_string(i) + " is " + std::to_string(values[i]) + " instead of " +
             std::to_string(static_cast<T>(right(static_cast<int>(i))));
  return "";
}

/// run(), with a report as its text.
inline std::string noticed(std::string (*run)()) {
  try {
    return run();
  } catch (const kernels::CudaError& error) {
    return error.what();
  }
}

}  // namespace seqgpu::tests
