#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

// The seam: what an operation's implementation is, whatever the device.
namespace seqgpu::device {

/// Runs body(0..tiles-1), each once, on whichever threads are free. Tiles must not depend on the number of threads.
class Parallel {
 public:
  using Body = void (*)(void* context, std::int64_t tile);
  virtual ~Parallel() = default;
  virtual void run(std::int64_t tiles, Body body, void* context) = 0;
  /// The most threads that may take part. For cutting work whose results do not depend on the cuts.
  virtual int threads() const { return 1; }

  template <class F>
  void for_each(std::int64_t tiles, F&& f) {
    run(
        tiles, [](void* c, std::int64_t i) { (*static_cast<std::remove_reference_t<F>*>(c))(i); }, &f);
  }
};

struct Arguments {
  const void* const* inputs = nullptr;  // null where absent
  void* const* outputs = nullptr;       // null where nobody wants it
  void* workspace = nullptr;            // workspace_bytes(), 64-byte aligned, uninitialised
  Parallel* parallel = nullptr;         // CPU
  void* queue = nullptr;                // CUDA: a cuda::Queue, the stream that the work goes to
  void* prepared = nullptr;             // Preparation::bytes(), 64-byte aligned: written by its run, read by launch
};

}  // namespace seqgpu::device
