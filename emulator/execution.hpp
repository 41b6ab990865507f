#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "vector_types.h"

// The execution model: runs one grid of CUDA threads on the CPU. Every CUDA thread is a fibre, all on the calling OS
// thread, so that a run is repeatable from its order and seed. Not thread-safe: the runtime serialises its calls.

namespace emulator {

/// Where something was written: file and column may be missing (nullptr, 0).
struct Location {
  const char* file = nullptr;
  int line = 0;
  int column = 0;
};

/// One kernel launch, already validated (cluster divides grid, block of 1 to 1024 threads).
struct LaunchSpec {
  dim3 grid, block;
  dim3 cluster{1, 1, 1};
  std::size_t shared_bytes = 0;  // dynamic shared memory
  bool cooperative = false;      // all blocks are alive together and may use a grid barrier
  const char* name = nullptr;    // of the kernel, for messages; may be missing
  Location location;             // of the launch, for messages
};

/// Runs the kernel once for the current thread, with the launch's arguments.
using ThreadBody = void (*)(const void* args);

/// Runs the whole grid. `args` (of `bytes`) is what kernels may read beside device memory.
/// @return false when a fault was found: the grid was abandoned and last_error() says why.
bool run_grid(const LaunchSpec& spec, ThreadBody body, const void* args, std::size_t bytes);

/// Text of the last fault: what, block, thread, file and line. Stays until the next fault.
const std::string& last_error();

/// Reports a fault. Inside a kernel it abandons the grid; on the host it throws std::runtime_error.
[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// Is a CUDA thread running (and not the host)?
bool in_kernel();

/// Global memory. Fresh memory is filled with 0xFF, so that a float is NaN and an int is -1. Memory is 256-byte
/// aligned; in an ASan build it lies between red zones, in check mode it is never handed out twice.
void* dev_alloc(std::size_t bytes);  // nullptr when there is no memory
bool dev_free(void* base);           // false: not the start of a live allocation

/// A live allocation of dev_alloc that holds `p`; {nullptr, 0} when there is none.
struct Allocation {
  void* base = nullptr;
  std::size_t bytes = 0;
};
Allocation dev_find(const void* p);

/// What check mode knows of device memory; nothing happens in other modes. dev_range puts a range in bounds (then it is
/// uninitialised) or out of bounds; dev_init: the host wrote these bytes; dev_copied: the host copied them, so they are
/// as initialised as the source was, where that is device memory.
void dev_range(const void* p, std::size_t bytes, bool live);
void dev_init(const void* p, std::size_t bytes);
void dev_copied(const void* to, const void* from, std::size_t bytes);

/// Host memory that kernels may read in addition to their arguments. Globals (__constant__) need no such call.
void args_range(const void* p, std::size_t bytes);

enum class Order { forward, reverse, random };

/// How to run. Starts from SEQGPU_EMULATOR_ORDER (forward, reverse, random), _SEED, _PREEMPT.
struct Options {
  Order order = Order::forward;  // of blocks, and of threads that could run next
  std::uint64_t seed = 1;        // of Order::random and of preemption
  unsigned preempt = 0;          // check mode: switch threads at one memory access in `preempt`; 0 never
  bool quiet = false;            // do not print faults to stderr
  bool strict = true;            // barriers of one scope must be the same source line, and no thread may have left
  unsigned resident = 0;         // clusters alive at once in a normal launch; 0: 1, or 2 in random order
  std::uint64_t spin_limit = 20'000'000;       // steps of atomics and waits alone that count as a livelock
  std::uint64_t switch_limit = 1'000'000'000;  // switches of one grid that count as a livelock
  bool lazy_streams = true;                    // streams run only when the host synchronises (runtime.cpp)
};
Options& options();

struct Stats {
  std::uint64_t switches = 0, threads = 0, barriers = 0, collectives = 0, grids = 0;
};
Stats& stats();

/// The mode that the kernels and the emulator were built for: "fast", "asan" or "check".
const char* mode();

/// The next number of the seeded sequence; the runtime uses it to mix streams.
std::uint64_t random_number();

}  // namespace emulator
