#pragma once

#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace seqgpu::device::cpu {

/// A step of a small model takes tens of microseconds: waking a sleeping thread for each would cost as much again. But
/// a machine with other work must get its cores back, or the lane we wait for does not run.
class Spin {
 public:
  void reset() { count_ = 0; }
  bool is_long() const { return count_ >= kLong; }
  void pause() {
    if (++count_ > kShort) {
      std::this_thread::yield();
      return;
    }
#if defined(__x86_64__)
    _mm_pause();
#else
    std::this_thread::yield();
#endif
  }

 private:
  static constexpr int kShort = 1000, kLong = 3000;
  int count_ = 0;
};

}  // namespace seqgpu::device::cpu
