#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

#include "emulated/core.hpp"
#include "emulator/check/order.hpp"
#include "emulator/fibre.hpp"

// The state of the running grid: threads, warps, blocks, clusters. Private to the execution model.

namespace emulator {

struct Block;
struct Cluster;

struct AsyncCopy {
  void* to;
  const void* from;
  std::size_t bytes, from_bytes;
};

/// What a thread has arrived at but not yet waited for: one for each scope.
struct Arrival {
  bool pending = false;
  unsigned phase = 0;
};

struct Thread : Fibre {
  Block* block = nullptr;
  uint3 index{};
  unsigned warp = 0, lane = 0;
  unsigned id = 0;  // over the whole grid: block number * threads per block + rank
  bool done = false;
  Arrival arrivals[3];
  const char* waiting_in = nullptr;  // for the deadlock report
  Location waiting_at;
  std::vector<std::vector<AsyncCopy>> copies;  // groups; the last is not committed yet
};

struct Barrier {
  unsigned arrived = 0, predicates = 0, phase = 0;
  unsigned expected = 0;  // named barriers only; 0: nobody has come
  int result = 0;
  Reduction reduction = Reduction::none;
  Location location;       // of the first to arrive
  bool same_place = true;  // the first came to a whole barrier: all others must come to the same
  std::vector<Thread*> waiters;
  std::vector<Thread*> members;  // named barriers only: all that arrived
};

/// A warp collective that still misses lanes.
struct Collective {
  unsigned mask = 0, here = 0;
  const char* name = nullptr;
  Answer answer = nullptr;
  Location location;
  void* payloads[32] = {};
  Thread* lanes[32] = {};
};

struct Warp {
  unsigned alive = 0, full = 0;  // lanes that have not exited; that ever existed
  std::vector<Collective> open;
  order::WarpClock clock;
};

/// Threads that share a barrier, and the stamp of its last completion (see order.hpp).
struct Scoped {
  Barrier barrier;
  unsigned alive = 0, total = 0;
  std::uint32_t stamp = 0;
};

struct Block : Scoped {
  uint3 index{};
  unsigned number = 0;  // linear block index
  unsigned rank = 0;    // in the cluster
  Cluster* cluster = nullptr;
  char* arena = nullptr;
  bool started = false;
  Barrier named[16];
  std::vector<Warp> warps;
  std::vector<Thread> threads;
  order::BlockClock clock;
};

struct Cluster : Scoped {
  std::vector<std::unique_ptr<Block>> blocks;
};

struct Range {
  std::size_t offset, bytes;
};

/// A store of st.async on its way.
struct AsyncStore {
  char* to;
  unsigned char value[16];
  std::size_t bytes;
  std::uint64_t* barrier;
  Block* target;
};

struct Grid : Scoped {
  Grid(const LaunchSpec& spec_, ThreadBody body_, const void* args_) : spec(spec_), body(body_), args(args_) {}
  LaunchSpec spec;
  ThreadBody body;
  const void* args;
  std::uint64_t serial = 0;
  unsigned threads_per_block = 0;
  std::vector<std::unique_ptr<Cluster>> live;
  std::size_t arena_bytes = 0;
  std::size_t next_offset = 0;
  std::vector<Range> static_slots;
  std::vector<AsyncStore> stores;
  std::unordered_map<const void*, std::vector<Thread*>> mbarrier_waiters;
  order::Releases releases;
  std::uint64_t first_switch = 0;
};

extern Grid* grid;       // nullptr: no kernel runs
extern Thread* current;  // nullptr: the host

// Check mode: true while the emulator itself works, so that its own accesses are not taken for the kernel's.
extern bool paused;
struct Inside {
  Inside() { paused = true; }
  ~Inside() { paused = false; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

// scheduler.cpp
void begin_schedule();  // of the grid that `grid` points to
Thread* next_ready();   // nullptr: no thread can run
void make_ready(Thread* thread);
void make_ready(std::vector<Thread*>& threads);  // in the order of the options; empties the list
void make_ready_warp(Thread* const* lanes, unsigned mask);
void switch_to(Thread* next, bool ends = false);      // nullptr: the host. `ends`: nobody will switch back
void wait_here(const char* what, Location location);  // until somebody makes this thread ready
void give_way();                                      // lets another thread run, if one is ready
void progress();                                      // something happened: no livelock
void step(bool always_switch);     // of an atomic or a waiting loop: counts towards a livelock, may switch
void check_switches();             // fails when the grid runs far too long
bool was_abandoned();              // by fail()
void record(const char* message);  // makes it last_error(), with the place of the current thread

// barrier.cpp
void leave_barriers(Thread& thread);
// warp.cpp
void leave_warp(Thread& thread);
// async.cpp
bool deliver_all_stores();  // false: there were none
void leave_async(Thread& thread);
void leave_async(Block& block);

// arena.cpp
constexpr std::size_t kStaticBytes = 64 << 10;  // of the arena; dynamic shared memory follows
void open_arena(Block& block);                  // a new block's, poisoned
void start_arena(Block& block);                 // its first thread runs: readable, filled with 0xFF
void close_arena(Block& block);                 // all its threads have left
void recycle_arena(Block& block);

// text.cpp: fixed buffers, because the stack of a failing thread is abandoned and would leak a string
struct Text {
  char text[256];
};
Text describe(Location location);
Text describe(const Thread& thread);
Text describe_thread(unsigned id);  // by number, in the running grid

}  // namespace emulator
