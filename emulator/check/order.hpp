#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#ifndef SEQGPU_EMULATOR_CHECK
#define SEQGPU_EMULATOR_CHECK 0
#endif

// Which accesses happen before which, for check mode. All threads share one counter, the time. A synchronisation
// stamps what it joined with ++time; an access by a at time t happens before one by b if something that joined them is
// stamped later than t. Barriers of a block, cluster or grid need one stamp each. Atomics, mbarriers and named barriers
// carry clocks: exact between blocks and between warps, but a whole block (warp) is taken to have done what one of its
// threads did. So there are no false alarms, and a race beside an atomic may be missed.

namespace emulator {

struct Thread;
struct Warp;
struct Block;

constexpr bool kCheck = SEQGPU_EMULATOR_CHECK != 0;

namespace order {

extern std::uint32_t time;

struct WarpClock {
  std::uint32_t full = 0;            // stamp of the last collective of all lanes
  std::vector<std::uint32_t> pairs;  // [32 * 32] stamps of partial collectives
};
struct BlockClock {
  std::vector<std::uint32_t> warps;   // [warps * warps]: what a warp knows of another
  std::vector<std::uint32_t> blocks;  // [blocks of the grid]: what this block knows of another
};

/// What the address of an atomic or mbarrier carries from releases to acquires.
struct Release {
  struct FromBlock {
    std::vector<std::uint32_t> warps;   // stamp of each warp's last release
    std::vector<unsigned> lanes;        // by which lane
    std::vector<std::uint32_t> others;  // stamp of the last one by another lane
  };
  std::vector<std::uint32_t> blocks;
  std::unordered_map<unsigned, FromBlock> inside;  // by block number
};
using Releases = std::unordered_map<const void*, Release>;

#if SEQGPU_EMULATOR_CHECK
void join_lanes(Warp& warp, unsigned mask);
void join_threads(const std::vector<Thread*>& threads);  // of one block
void acquire(const void* p);                             // by the running thread
void release(const void* p);

/// Does what thread `first` did at time `when` happen before what the running thread does now?
bool happened_before(unsigned first, std::uint32_t when);
#else
inline void join_lanes(Warp&, unsigned) { ++time; }
inline void join_threads(const std::vector<Thread*>&) { ++time; }
inline void acquire(const void*) {}
inline void release(const void*) {}
#endif

}  // namespace order
}  // namespace emulator
