#include "emulator/faults.hpp"
#include "kernels/block/ptx.cuh"

// Barriers that are missing, diverge, or are never reached by all.

namespace seqgpu::tests {
namespace {

using namespace kernels;

constexpr unsigned kAllLanes = 0xffffffffu;

__global__ void missing_syncwarp(float* out) {
  auto& s = shared<float[32]>();
  s[threadIdx.x] = static_cast<float>(threadIdx.x);
  out[threadIdx.x] = s[31 - threadIdx.x];
}

/// Lanes that meet in a collective other than __syncwarp need not see what the others wrote.
enum class Meet { vote, shuffle, match, reduction };
__global__ void collective_for_syncwarp(float* out, Meet meet) {
  auto& s = shared<float[32]>();
  const unsigned lane = threadIdx.x;
  s[lane] = static_cast<float>(lane);
  unsigned all = kAllLanes;
  if (meet == Meet::vote) all = __ballot_sync(kAllLanes, 1);
  if (meet == Meet::shuffle) all = __shfl_sync(kAllLanes, all, 5);
  if (meet == Meet::match) all = __match_any_sync(kAllLanes, 7);
  if (meet == Meet::reduction) all = __reduce_min_sync(kAllLanes, all);
  out[lane] = s[31 - lane] + (all == kAllLanes ? 0.f : 1.f);
}

__global__ void missing_syncthreads(float* out) {
  auto& s = shared<float[64]>();
  s[threadIdx.x] = static_cast<float>(threadIdx.x);
  __syncwarp();
  out[threadIdx.x] = s[63 - threadIdx.x];
}

__global__ void missing_second_barrier(float* out, int steps) {
  auto& s = shared<float[64]>();
  float value = static_cast<float>(threadIdx.x);
  for (int t = 0; t < steps; ++t) {
    s[threadIdx.x] = value;
    __syncthreads();
    value = s[(threadIdx.x + 1) % 64];  // the next step overwrites it
  }
  out[threadIdx.x] = value;
}

// Every block adds its neighbour's value of the step before.
__global__ void ring(float* values, int steps, bool broken) {
  for (int t = 0; t < steps; ++t) {
    const float* from = values + (t % 2) * 8;
    float* to = values + (1 - t % 2) * 8;
    if (threadIdx.x == 0) to[blockIdx.x] = from[(blockIdx.x + 1) % gridDim.x] + 1;
    __syncthreads();
    if (!broken) grid_sync();
  }
}
std::string run_ring(bool broken) {
  Array<float> values(16, 0.f);
  launch(ring, {.grid = 8, .block = 64, .cooperative = true}, values.data(), 8, broken);
  return compare(values, 8, [](int) { return 8; });
}

__global__ void cluster_ring(float* out, int steps, bool broken) {
  auto& s = shared<float[2]>();
  if (threadIdx.x == 0) s[0] = s[1] = 0;
  cluster_sync();
  for (int t = 0; t < steps; ++t) {
    if (threadIdx.x == 0) {
      const unsigned peer = (cluster_rank() + 1) % cluster_size();
      map_shared(&s[0], peer)[1 - t % 2] = s[t % 2] + 1;
    }
    if (!broken || t == steps - 1) cluster_sync();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = s[steps % 2];
}
std::string run_cluster_ring(bool broken) {
  Array<float> out(4, 0.f);
  launch(cluster_ring, {.grid = 4, .block = 32, .cluster = 4}, out.data(), 8, broken);
  return compare(out, 4, [](int) { return 8; });
}

__global__ void divergent(float* out) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
  out[threadIdx.x] = 1;
}

// clang-format off
__global__ void divergent_in_one_line(float* out) {
  if (threadIdx.x < 32) __syncthreads(); else __syncthreads();
  out[threadIdx.x] = 1;
}
// clang-format on

__global__ void some_exit(float* out, int count) {
  if (static_cast<int>(threadIdx.x) >= count) return;
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void exit_after(float* out) {
  if (threadIdx.x < 32) __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void barrier_of_too_many(float* out) {
  if (threadIdx.x < 32) named_barrier(1, 64);
  __syncthreads();
  out[threadIdx.x] = 1;
}

__global__ void barrier_counts_differ(float* out) {
  named_barrier(1, threadIdx.x < 32 ? 64 : 32);
  out[threadIdx.x] = 1;
}

__global__ void grid_barrier(float* out) {
  grid_sync();
  out[threadIdx.x] = 1;
}

__global__ void spin(unsigned* flag) {
  while (load_acquire(flag) == 0) spin_pause();
}

__global__ void spin_on_plain_read(const volatile unsigned* flag) {
  while (*flag == 0) {
  }
}

__global__ void spin_on_update(int* flag) {
  while (atomicAdd(flag, 0) == 0) {
  }
}

// A barrier of the whole grid by hand, or (broken) of the block alone.
__global__ void hand_barrier(float* values, unsigned* arrived, int steps, bool broken) {
  for (int t = 0; t < steps; ++t) {
    const float* from = values + (t % 2) * 8;
    float* to = values + (1 - t % 2) * 8;
    if (threadIdx.x == 7) to[blockIdx.x] = from[(blockIdx.x + 1) % gridDim.x] + 1;
    __syncthreads();
    if (!broken && threadIdx.x == 0) {
      red_add_release(arrived, 1u);
      while (load_acquire(arrived) < gridDim.x * (t + 1)) spin_pause();
    }
    __syncthreads();
  }
}

// Two warps make rows, two use them: a full and an empty barrier for each of two slots.
__global__ void producer_consumer(float* out, int rows) {
  auto& slots = shared<float[2][64]>();
  const bool producer = threadIdx.x < 64;
  const unsigned i = threadIdx.x % 64;
  float sum = 0;
  for (int row = 0; row < rows; ++row) {
    const unsigned full = 1 + row % 2, empty = 3 + row % 2;
    if (producer) {
      if (row >= 2) named_barrier(empty, 128);
      slots[row % 2][i] = static_cast<float>(row);
      named_barrier_arrive(full, 128);
    } else {
      named_barrier(full, 128);
      sum += slots[row % 2][63 - i];
      if (row + 2 < rows) named_barrier_arrive(empty, 128);
    }
  }
  if (!producer) out[i] = sum;
}

// Warp 0 publishes to the other warps of its block, and to the next block, by flags.
__global__ void published_by_flags(float* data, unsigned* flags, float* out) {
  auto& ready = shared<std::uint32_t>();
  auto& value = shared<float[32]>();
  if (threadIdx.x == 0) ready = 0;
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    if (blockIdx.x > 0) {
      if (lane == 0)
        while (load_acquire(&flags[blockIdx.x - 1]) == 0) spin_pause();
      __syncwarp();
      value[lane] = data[lane] + 1;
      data[lane] = value[lane];
    } else {
      value[lane] = 1;
      data[lane] = 1;
    }
    __syncwarp();
    if (lane == 0) {
      store_release(&ready, 1u);
      store_release(&flags[blockIdx.x], 1u);
    }
  } else {
    while (load_acquire(&ready) == 0) spin_pause();
    if (threadIdx.x < 64) out[blockIdx.x * 32 + lane] = value[31 - lane];
  }
}

__global__ void count_atomically(int* counts) {
  auto& inside = shared<int>();
  if (threadIdx.x == 0) inside = 0;
  __syncthreads();
  atomicAdd(&inside, 1);
  atomicAdd(&counts[0], 1);
  __syncthreads();
  if (threadIdx.x == 0) atomicMax(&counts[1], inside);
}

template <class... P, class... A>
std::string run_one(void (*kernel)(P...), unsigned threads, A... args) {
  Array<float> out(64, 0.f);
  launch(kernel, {.grid = 1, .block = threads}, out.data(), args...);
  return compare(out, threads, [](int) { return 1; });
}

std::string run_collective(Meet meet) {
  Array<float> out(32, 0.f);
  launch(collective_for_syncwarp, {.grid = 1, .block = 32}, out.data(), meet);
  return compare(out, 32, [](int i) { return 31 - i; });
}

constexpr const char* kRace = "race: (read|write) after (read|write)";

}  // namespace

std::vector<Fault> barrier_faults() {
  return {
      {.name = "missing_syncwarp",
       .run =
           [] {
             Array<float> out(32, 0.f);
             launch(missing_syncwarp, {.grid = 1, .block = 32}, out.data());
             return compare(out, 32, [](int i) { return 31 - i; });
           },
       .every_order = "wrong result",
       .check = "uninitialised.*barrier_faults.cu:1[0-9]"},
      {.name = "vote_for_syncwarp", .run = [] { return run_collective(Meet::vote); }, .check = kRace},
      {.name = "shuffle_for_syncwarp", .run = [] { return run_collective(Meet::shuffle); }, .check = kRace},
      {.name = "match_for_syncwarp", .run = [] { return run_collective(Meet::match); }, .check = kRace},
      {.name = "reduction_for_syncwarp", .run = [] { return run_collective(Meet::reduction); }, .check = kRace},
      {.name = "missing_syncthreads",
       .run =
           [] {
             Array<float> out(64, 0.f);
             launch(missing_syncthreads, {.grid = 1, .block = 64}, out.data());
             return compare(out, 64, [](int i) { return 63 - i; });
           },
       .some_seed = "wrong result",
       .check = "uninitialised.*barrier_faults.cu:"},
      {.name = "missing_second_barrier",
       .run =
           [] {
             Array<float> out(64, 0.f);
             launch(missing_second_barrier, {.grid = 1, .block = 64}, out.data(), 5);
             return compare(out, 64, [](int i) { return (i + 5) % 64; });
           },
       .every_order = "wrong result",
       .check = kRace},
      {.name = "missing_grid_barrier",
       .run = [] { return run_ring(true); },
       .some_seed = "wrong result",
       .check = kRace},
      {.name = "missing_cluster_barrier",
       .run = [] { return run_cluster_ring(true); },
       .some_seed = "wrong result",
       .check = kRace},
      {.name = "missing_hand_barrier",
       .run =
           [] {
             Array<float> values(16, 0.f);
             Array<unsigned> arrived(1, 0u);
             launch(hand_barrier, {.grid = 8, .block = 64, .cooperative = true}, values.data(), arrived.data(), 8,
                    true);
             return compare(values, 8, [](int) { return 8; });
           },
       .some_seed = "wrong result",
       .check = kRace},
      {.name = "divergent_barrier",
       .run = [] { return run_one(divergent, 64); },
       .every_order = "divergent __syncthreads.*barrier_faults.cu:[0-9]+:[0-9]+.*barrier_faults.cu:[0-9]+",
       .check = "divergent __syncthreads"},
      {.name = "divergent_barrier_in_one_line",
       .run = [] { return run_one(divergent_in_one_line, 64); },
       .every_order = "divergent __syncthreads",
       .check = "divergent __syncthreads"},
      {.name = "threads_exit_before_a_barrier",
       .run = [] { return run_one(some_exit, 64, 48); },
       .every_order = "exited",
       .check = "exited"},
      {.name = "threads_exit_instead_of_a_barrier",
       .run = [] { return run_one(exit_after, 64); },
       .every_order = "exited",
       .check = "exited"},
      {.name = "deadlock_of_a_named_barrier",
       .run = [] { return run_one(barrier_of_too_many, 64); },
       .every_order = "deadlock: no thread can run;\n.*32 threads wait in (a named barrier|__syncthreads) at .*"
                      "barrier_faults.cu:[0-9]+:[0-9]+ .first: block .0,0,0. thread",
       .check = "deadlock"},
      {.name = "named_barrier_counts_differ",
       .run = [] { return run_one(barrier_counts_differ, 64); },
       .every_order = "named barrier",
       .check = "named barrier"},
      {.name = "grid_barrier_without_cooperation",
       .run = [] { return run_one(grid_barrier, 32); },
       .every_order = "cooperative",
       .check = "cooperative"},
      {.name = "endless_spin_on_a_load",
       .run =
           [] {
             Array<unsigned> flag(1, 0u);
             launch(spin, {.grid = 1, .block = 32}, flag.data());
             finish();
             return std::string();
           },
       .every_order = "livelock.*barrier_faults.cu:[0-9]+.*\n  at block .0,0,0. thread",
       .check = "livelock.*barrier_faults.cu:[0-9]+"},
      {.name = "endless_spin_on_a_plain_read",
       .run =
           [] {
             Array<unsigned> flag(1, 0u);
             launch(spin_on_plain_read, {.grid = 1, .block = 32}, flag.data());
             finish();
             return std::string();
           },
       .check = "livelock: one thread.*barrier_faults.cu:[0-9]+"},
      {.name = "endless_spin_on_an_update",
       .run =
           [] {
             Array<int> flag(1, 0);
             launch(spin_on_update, {.grid = 1, .block = 32}, flag.data());
             finish();
             return std::string();
           },
       .every_order = "livelock.*barrier_faults.cu:[0-9]+.*\n  at block .0,0,0. thread",
       .check = "livelock.*barrier_faults.cu:[0-9]+"},
  };
}

std::vector<Control> barrier_controls() {
  return {
      {"grid_barrier", [] { return run_ring(false); }},
      {"cluster_barrier", [] { return run_cluster_ring(false); }},
      {"grid_barrier_by_hand",
       [] {
         Array<float> values(16, 0.f);
         Array<unsigned> arrived(1, 0u);
         launch(hand_barrier, {.grid = 8, .block = 64, .cooperative = true}, values.data(), arrived.data(), 8, false);
         return compare(values, 8, [](int) { return 8; });
       }},
      {"named_barriers",
       [] {
         Array<float> out(64, 0.f);
         launch(producer_consumer, {.grid = 1, .block = 128}, out.data(), 7);
         return compare(out, 64, [](int) { return 21; });
       }},
      {"flags",
       [] {
         Array<float> data(32, 0.f), out(96, 0.f);
         Array<unsigned> flags(3, 0u);
         launch(published_by_flags, {.grid = 3, .block = 96, .cooperative = true}, data.data(), flags.data(),
                out.data());
         return compare(out, 96, [](int i) { return i / 32 + 1; });
       }},
      {"atomics",
       [] {
         Array<int> counts(2, 0);
         launch(count_atomically, {.grid = 3, .block = 64}, counts.data());
         return compare(counts, 2, [](int i) { return i == 0 ? 192 : 64; });
       }},
  };
}

}  // namespace seqgpu::tests
