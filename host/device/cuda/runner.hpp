#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "device/cuda/replay.hpp"
#include "device/cuda/streams.hpp"
#include "device/device.hpp"

namespace seqgpu::device::cuda {

/// Runs Works over the streams: the first run of each goes launch by launch, the second is captured as a graph, later
/// ones replay that. (The first is not captured, as libraries load their kernels at first use, which capture forbids; a
/// shape seen once pays for no graph.) Not thread-safe.
class Runner {
 public:
  struct Options {
    bool graphs;
    bool marks;  // of graphs; single launches always note their ends
  };
  Runner(Streams& streams, Staging& staging, const Limits& limits, Options options);

  /// Waits for the end. After an exception nothing is pending.
  /// @throws Error{invalid_argument} for illegal input that a kernel found; kernels::CudaError; what a launch throws
  void run(Work& work);

  /// After run() has thrown CudaError: "recurrent (stepwise), launch 5 of 20", the oldest launch over all streams that
  /// is not known to have ended. A graph notes that unless Options::marks is off. Empty where all have ended.
  std::string unfinished(const Work& work) const;

 private:
  class Capture;
  struct Page;

  enum class How { singly, singly_with_times, captured };
  void enqueue(Work& work, const Replay& replay, How how);
  void start(const Work& work, const Replay& replay, std::size_t i);
  void mark_end(const Replay& replay, std::size_t i, How how);
  void capture(Work& work, Replay& replay);
  void finish(Work& work, Replay& replay);
  void fill_timeline(Work& work, const Replay& replay) const;
  Page& page() const;

  Streams& streams_;
  Staging& staging_;
  const Limits& limits_;
  Options options_;
  PinnedMemory page_;
  bool marked_ = false;  // the run in progress notes which launches have ended
};

}  // namespace seqgpu::device::cuda
