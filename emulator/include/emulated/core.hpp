#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

#include "emulator/execution.hpp"

// What device code asks of the emulator: the index variables, barriers, warp collectives, shared memory, asynchronous
// copies. Kernels do not include this; <cuda_runtime.h> and kernels/block do.

extern uint3 threadIdx, blockIdx;  // of the running thread; rewritten at every switch
extern dim3 blockDim, gridDim;

// Device functions of the emulator's own headers are not watched in check mode: what they touch is not the kernel's.
#if defined(__SANITIZE_THREAD__)
#define EMULATOR_UNWATCHED __attribute__((no_sanitize("thread")))
#else
#define EMULATOR_UNWATCHED
#endif

namespace emulator {

/// Every device function that can go wrong takes the caller's place as its last, defaulted argument.
using Where = std::source_location;
inline Location here(const Where& where) {
  return {where.file_name(), static_cast<int>(where.line()), static_cast<int>(where.column())};
}

// Barriers -----------------------------------------------------------------------------------------------------------

enum class Scope { block, cluster, grid };
enum class Reduction { none, count, all, any };  // of the predicates of all threads
int barrier(Scope scope, int predicate, Reduction reduction, Location location);
void barrier_arrive(Scope scope, Location location);
void barrier_wait(Scope scope, Location location);

/// bar.sync (waits) or bar.arrive (does not) of barrier `id`, 1 to 15, complete once `threads` threads came.
void named_barrier(unsigned id, unsigned threads, bool waits, Location location);

// Warps --------------------------------------------------------------------------------------------------------------

/// Every lane of `mask` hands in a payload; the last one to come answers for all by calling `answer` once.
/// payloads[lane] is valid for the lanes of the mask.
using Answer = void (*)(void* const* payloads, unsigned mask);
void warp_collective(unsigned mask, const char* name, void* payload, Answer answer, Location location);

unsigned lane_id();
unsigned active_mask();  // lanes that have not exited: an approximation

// Memory -------------------------------------------------------------------------------------------------------------

/// An atomic access is about to happen: other threads may run first, and check mode learns of it.
enum class Atomic { load, store, update };
void atomic_access(const void* p, std::size_t bytes, Atomic kind);

/// A plain access by an instruction that is not compiled code (a tensor core, an asynchronous copy).
void plain_access(const void* p, std::size_t bytes, bool write);

/// Lets other threads run: a step of a waiting loop.
void yield();

/// The block's object for `slot`: the same offset in every block of the launch. One slot per type and tag.
struct SharedSlot {
  std::uint64_t grid = 0;  // the launch that `offset` belongs to
  std::size_t offset = 0;
};
void* shared_static(SharedSlot& slot, std::size_t bytes, std::size_t alignment);
void* shared_dynamic();

/// The same shared object in the block `rank` of the cluster.
void* map_shared_rank(const void* p, unsigned rank, Location location);
unsigned cluster_rank();
unsigned cluster_size();
dim3 cluster_shape();
bool is_cooperative();

// Asynchronous copies ------------------------------------------------------------------------------------------------

/// cp.async: data arrives at the wait of its group, and `to` is filled with 0xFF until then. Only the first
/// `from_bytes` are read, the rest becomes 0.
void async_copy(void* to, const void* from, std::size_t bytes, std::size_t from_bytes, Location location);
void async_commit();
void async_wait(std::size_t groups_in_flight);

/// mbarrier objects are 8 bytes of shared memory that hold their whole state.
void mbarrier_init(std::uint64_t* barrier, unsigned arrivals, Location location);
void mbarrier_invalidate(std::uint64_t* barrier, Location location);
void mbarrier_expect(std::uint64_t* barrier, unsigned bytes, Location location);
void mbarrier_arrive(std::uint64_t* barrier, unsigned count, Location location);
bool mbarrier_test(std::uint64_t* barrier, unsigned parity, Location location);
void mbarrier_wait(std::uint64_t* barrier, unsigned parity, Location location);

/// st.async: a store that arrives later, then takes its bytes off the barrier's transaction count.
void async_store(void* to, const void* value, std::size_t bytes, std::uint64_t* barrier, Location location);

/// A counter that grows with each call and each switch; the same in every run of the same order and seed.
std::uint64_t ticks();

}  // namespace emulator
