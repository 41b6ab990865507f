#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "device/cuda/streams.hpp"
#include "device/device.hpp"
#include "kernels/block/fault.hpp"

namespace seqgpu::device::cuda {

/// What a backend prepares for one Work at its first run, so that later runs allocate nothing: the events between its
/// streams, the memory where its kernels note faults, and from the second run on the captured graph.
class Replay {
 public:
  Replay(const Work& work, Streams& streams, Staging& staging);

  int stream_of(std::size_t launch) const { return stream_of_[launch]; }
  const std::vector<int>& streams() const { return streams_; }  // those in use, main first
  bool has_launches(int stream) const;
  cudaEvent_t started() const { return started_.get(); }
  cudaEvent_t joined(int stream) const { return joined_[static_cast<std::size_t>(stream)].get(); }
  /// The launch that goes with this one, in one call on the first one's stream; -1 if it goes alone.
  int partner_of(std::size_t launch) const { return partner_[launch]; }
  /// Recorded on the second one's stream when it may start; and on the first one's when the pair has ended.
  cudaEvent_t pair_ready(std::size_t first) const { return pair_ready_[first].get(); }
  cudaEvent_t pair_done(std::size_t first) const { return pair_done_[first].get(); }
  /// Null unless another stream waits for the launch.
  cudaEvent_t done(std::size_t launch) const { return done_[launch].get(); }

  kernels::FaultSink faults(std::size_t launch) const;
  unsigned* any_fault() const { return static_cast<unsigned*>(notes_.get()); }
  /// launch + 1, on the device: what is copied to say that a launch has ended.
  const std::uint32_t* number(std::size_t launch) const;
  std::vector<kernels::Fault> read_faults(cudaStream_t stream) const;
  void clear_faults(cudaStream_t stream) const;

  /// Where fetch i arrives, in pinned memory.
  std::byte* fetched(std::size_t i) const { return static_cast<std::byte*>(fetched_.get()) + fetch_offsets_[i]; }

  /// Events before and after each launch, made at first need, and one at the start.
  void prepare_timing();
  cudaEvent_t begin_of(std::size_t launch) const { return times_[2 * launch].get(); }
  cudaEvent_t end_of(std::size_t launch) const { return times_[2 * launch + 1].get(); }
  cudaEvent_t origin() const { return times_.back().get(); }

  GraphExec graph;
  bool ran = false;

 private:
  void find_pairs(const Work& work);
  void make_events(const Work& work);
  void make_notes(Streams& streams, Staging& staging);
  void make_fetched(const Work& work);
  kernels::Fault* fault_notes() const;

  std::vector<int> stream_of_, streams_, partner_;
  Event started_;
  std::vector<Event> joined_, done_, times_, pair_ready_, pair_done_;
  DeviceMemory notes_;  // any fault, padded | Fault of each launch | number of each launch
  PinnedMemory fetched_;
  std::vector<std::size_t> fetch_offsets_;
};

}  // namespace seqgpu::device::cuda
