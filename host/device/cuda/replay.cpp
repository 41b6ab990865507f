#include "device/cuda/replay.hpp"

#include <algorithm>
#include <cstring>

#include "device/cuda/check.hpp"

namespace seqgpu::device::cuda {
namespace {

constexpr std::size_t kHead = 64;  // bytes of notes before the first Fault

std::size_t padded(std::int64_t bytes) { return (static_cast<std::size_t>(bytes) + 63) / 64 * 64; }

}  // namespace

Replay::Replay(const Work& work, Streams& streams, Staging& staging) {
  std::vector<bool> used(static_cast<std::size_t>(streams.size()), false);
  used[0] = true;
  for (const Launch& launch : work.launches) {
    stream_of_.push_back(launch.stream % streams.size());
    used[static_cast<std::size_t>(stream_of_.back())] = true;
  }
  for (int s = 0; s < streams.size(); ++s) {
    if (used[static_cast<std::size_t>(s)]) streams_.push_back(s);
  }
  find_pairs(work);
  make_events(work);
  make_notes(streams, staging);
  make_fetched(work);
}

/// Launch j may go with launch i before it if all that j comes after is enqueued before i.
void Replay::find_pairs(const Work& work) {
  constexpr std::size_t kReach = 16;  // directions of a layer stand close together
  const std::size_t count = work.launches.size();
  partner_.assign(count, -1);
  const auto may_go_with = [&](std::size_t i, std::size_t j) {
    const Launch &first = work.launches[i], &second = work.launches[j];
    if (partner_[j] >= 0 || stream_of_[i] == stream_of_[j] || first.implementation != second.implementation)
      return false;
    if (!first.implementation->pairs(*first.desc, *second.desc)) return false;
    for (const int wait : second.waits) {
      if (wait >= static_cast<int>(i)) return false;
    }
    return std::find(stream_of_.begin() + static_cast<std::ptrdiff_t>(i),
                     stream_of_.begin() + static_cast<std::ptrdiff_t>(j),
                     stream_of_[j]) == stream_of_.begin() + static_cast<std::ptrdiff_t>(j);
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (partner_[i] >= 0 || !work.launches[i].implementation->pairs) continue;
    for (std::size_t j = i + 1; j < std::min(count, i + kReach); ++j) {
      if (!may_go_with(i, j)) continue;
      partner_[i] = static_cast<int>(j);
      partner_[j] = static_cast<int>(i);
      break;
    }
  }
}

void Replay::make_events(const Work& work) {
  pair_ready_.resize(work.launches.size());
  pair_done_.resize(work.launches.size());
  for (std::size_t i = 0; i < work.launches.size(); ++i) {
    if (partner_[i] <= static_cast<int>(i)) continue;
    pair_ready_[i] = make_event(EventUse::order);
    pair_done_[i] = make_event(EventUse::order);
  }
  started_ = make_event(EventUse::order);
  joined_.resize(static_cast<std::size_t>(streams_.back()) + 1);
  for (const int s : streams_) joined_[static_cast<std::size_t>(s)] = make_event(EventUse::order);
  done_.resize(work.launches.size());
  for (std::size_t i = 0; i < work.launches.size(); ++i) {
    for (const int wait : work.launches[i].waits) {
      const auto w = static_cast<std::size_t>(wait);
      if (stream_of_[w] != stream_of_[i] && !done_[w]) done_[w] = make_event(EventUse::order);
    }
  }
}

void Replay::make_notes(Streams& streams, Staging& staging) {
  const std::size_t count = stream_of_.size();
  std::vector<std::byte> notes(kHead + count * (sizeof(kernels::Fault) + sizeof(std::uint32_t)), std::byte{0});
  std::fill_n(notes.begin() + kHead, count * sizeof(kernels::Fault), std::byte{0xff});
  for (std::size_t i = 0; i < count; ++i) {
    const auto number = static_cast<std::uint32_t>(i + 1);
    std::memcpy(&notes[kHead + count * sizeof(kernels::Fault) + i * sizeof number], &number, sizeof number);
  }
  notes_ = make_device_memory(notes.size());
  staging.upload(notes_.get(), notes.data(), notes.size(), streams.main());
}

void Replay::make_fetched(const Work& work) {
  std::size_t bytes = 0;
  for (const Work::Fetch& fetch : work.fetches) {
    fetch_offsets_.push_back(bytes);
    bytes += padded(fetch.bytes);
  }
  if (bytes > 0) fetched_ = make_pinned_memory(bytes);
}

bool Replay::has_launches(int stream) const {
  return std::find(stream_of_.begin(), stream_of_.end(), stream) != stream_of_.end();
}

kernels::FaultSink Replay::faults(std::size_t launch) const { return {fault_notes() + launch, any_fault()}; }

kernels::Fault* Replay::fault_notes() const {
  return reinterpret_cast<kernels::Fault*>(static_cast<std::byte*>(notes_.get()) + kHead);
}

const std::uint32_t* Replay::number(std::size_t launch) const {
  return reinterpret_cast<const std::uint32_t*>(fault_notes() + stream_of_.size()) + launch;
}

std::vector<kernels::Fault> Replay::read_faults(cudaStream_t stream) const {
  std::vector<kernels::Fault> faults(stream_of_.size());
  check(cudaMemcpyAsync(faults.data(), fault_notes(), faults.size() * sizeof(kernels::Fault), cudaMemcpyDeviceToHost,
                        stream),
        "reading faults");
  check(cudaStreamSynchronize(stream), "reading faults");
  return faults;
}

void Replay::clear_faults(cudaStream_t stream) const {
  check(cudaMemsetAsync(any_fault(), 0, kHead, stream), "clearing faults");
  check(cudaMemsetAsync(fault_notes(), 0xff, stream_of_.size() * sizeof(kernels::Fault), stream), "clearing faults");
}

void Replay::prepare_timing() {
  while (times_.size() < 2 * stream_of_.size() + 1) times_.push_back(make_event(EventUse::timing));
}

}  // namespace seqgpu::device::cuda
