#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "device/cpu/spin.hpp"
#include "device/implementation.hpp"

namespace seqgpu::device::cpu {

inline constexpr int kMostChunks = 16;

/// A sequence of phases, each cut into the same chunks; a phase begins when every chunk of the one before has ended.
/// The scan of a recurrent layer is one: a phase is the product and the gates of a step, a chunk is a range of units.
///
/// A thread that joins owns a chunk from then on, so that the chunk's weights stay in one core's cache, and threads
/// that each have their own write no line that another writes. A chunk that nobody owns is worked off by whoever comes
/// first: the caller alone finishes everything if no thread is free to join. A thread that lost its core loses its
/// chunk too, until it is back.
class Team {
 public:
  explicit Team(int chunks) : count_(chunks) {}

  /// As member 0 to chunks - 1, each once, on as many threads as there are: body(chunk, phase) is called for every
  /// chunk of every phase, by the time that one of them returns. It must not throw.
  template <class F>
  void join(int member, std::int64_t phases, F&& body) {
    if (count_ == 1) {  // nobody to wait for
      for (std::int64_t phase = 0; phase < phases; ++phase) body(0, phase);
      return;
    }
    Chunk& own = chunks_[member];
    unsigned absent = ~(1u << member);  // chunks that were nobody's when last looked at
    for (std::int64_t phase = 0; phase < phases; ++phase) {
      // What others did meanwhile is done; the last of it may still be going on.
      phase = std::max(phase, own.ended.load(std::memory_order_acquire) - 1);
      if (!own.owned.load(std::memory_order_relaxed)) own.owned.store(true, std::memory_order_relaxed);
      work(member, phase, body);
      for (int other = 0; other < count_; ++other) {
        if ((absent >> other & 1) == 0) continue;
        if (chunks_[other].owned.load(std::memory_order_relaxed))
          absent &= ~(1u << other);
        else
          work(other, phase, body);
      }
      for (int other = 0; other < count_; ++other)
        if (!wait_for(other, phase, body)) absent |= 1u << other;
    }
  }

 private:
  /// Two lines of a cache, and two more as they may be fetched in pairs: all wait on what has ended, while what has
  /// begun stays with the owner.
  struct alignas(128) Chunk {
    std::atomic<std::int64_t> ended{0};               // phases
    alignas(128) std::atomic<std::int64_t> begun{0};  // phases
    std::atomic<bool> owned{false};
  };

  static constexpr int kPatience = 300;  // pauses: some microseconds

  /// @return false if its owner was given up
  template <class F>
  bool wait_for(int index, std::int64_t phase, F&& body) {
    Chunk& chunk = chunks_[index];
    int pauses = 0;
    for (Spin spin; chunk.ended.load(std::memory_order_acquire) <= phase; spin.pause()) {
      if (++pauses < kPatience) continue;
      chunk.owned.store(false, std::memory_order_relaxed);
      work(index, phase, body);
    }
    return pauses < kPatience;
  }

  template <class F>
  void work(int index, std::int64_t phase, F&& body) {
    Chunk& chunk = chunks_[index];
    if (!chunk.begun.compare_exchange_strong(phase, phase + 1, std::memory_order_relaxed)) return;
    body(index, phase);
    chunk.ended.store(phase + 1, std::memory_order_release);
  }

  Chunk chunks_[kMostChunks];
  int count_;
};

}  // namespace seqgpu::device::cpu
