#pragma once

#include <cooperative_groups.h>

#include "micro_support.cuh"

// A4: what one exchange costs between blocks that share only L2. All launches are cooperative: every block is resident.
namespace seqgpu::benchmark {

constexpr unsigned kGridThreads = 256;
constexpr int kGridRounds = 1000;

static __global__ void grid_sync_kernel(long long* cycles) {
  const cooperative_groups::grid_group grid = cooperative_groups::this_grid();
  grid.sync();
  const long long start = clock64();
  for (int i = 0; i < kGridRounds; ++i) grid.sync();
  if (threadIdx.x == 0 && blockIdx.x == 0) *cycles = clock64() - start;
}

/// A barrier of our own: one counter, one releasing add a block, one acquiring poller a block.
static __global__ void flag_barrier_kernel(long long* cycles, unsigned* counter) {
  bool arrived = true;
  const long long start = clock64();
  for (int round = 1; round <= kGridRounds; ++round) {
    __syncthreads();
    if (threadIdx.x == 0 && arrived) {
      add_release(counter, 1);
      Patience patience;
      while (load_acquire(counter) < gridDim.x * static_cast<unsigned>(round)) {
        if (patience.lost()) {
          arrived = false;
          break;
        }
      }
    }
    __syncthreads();
  }
  if (threadIdx.x == 0 && blockIdx.x == 0) *cycles = arrived ? clock64() - start : -1;
}

enum class Hop { flag, packet };

/// One thread of the first and one of the last block answer each other. flag: red.release, ld.acquire. packet: 16 bytes
/// that carry their own round, relaxed on both sides.
template <Hop kHop>
__global__ void hop_kernel(long long* cycles, uint4* boxes) {
  const bool first = blockIdx.x == 0;
  if (threadIdx.x != 0 || (!first && blockIdx.x != gridDim.x - 1)) return;
  uint4* const mine = boxes + (first ? 0 : 64);  // 1 KiB apart
  uint4* const theirs = boxes + (first ? 64 : 0);
  const auto send = [&](unsigned round) {
    if constexpr (kHop == Hop::flag) {
      add_release(&theirs->w, 1);
    } else {
      store_relaxed(theirs, uint4{round, round, round, round});
    }
  };
  const auto receive = [&](unsigned round) {
    Patience patience;
    while ((kHop == Hop::flag ? load_acquire(&mine->w) : load_relaxed(mine).w) < round) {
      if (patience.lost()) return false;
    }
    return true;
  };
  bool arrived = true;
  const long long start = clock64();
  for (unsigned round = 1; round <= kGridRounds && arrived; ++round) {
    if (first) send(round);
    arrived = receive(round);
    if (!first) send(round);
  }
  if (first) *cycles = arrived ? clock64() - start : -1;
}

/// Every block publishes its share of `packets` packets of 16 bytes and reads all of them: one time step's exchange of
/// the hidden state. A packet carries its round, so it is its own flag; two buffers alternate, and a block publishes
/// round t+1 only after all its threads have read round t, hence after every block has passed round t-1.
static __global__ void packet_gather_kernel(long long* cycles, uint4* buffers, unsigned packets) {
  const unsigned share = packets / gridDim.x;
  bool arrived = true;
  const long long start = clock64();
  for (unsigned round = 1; round <= kGridRounds; ++round) {
    uint4* const buffer = buffers + (round & 1) * packets;
    for (unsigned i = threadIdx.x; i < share; i += blockDim.x) {
      store_relaxed(buffer + blockIdx.x * share + i, uint4{i, i, i, round});
    }
    for (unsigned i = threadIdx.x; i < packets && arrived; i += blockDim.x) {
      Patience patience;
      while (load_relaxed(buffer + i).w != round && arrived) arrived = !patience.lost();
    }
    __syncthreads();
  }
  const bool all_arrived = __syncthreads_and(arrived) != 0;
  if (threadIdx.x == 0 && blockIdx.x == 0) *cycles = all_arrived ? clock64() - start : -1;
}

inline void measure_grid(Report& report) {
  Cycles cycles;
  DeviceMemory memory(1 << 20);
  const auto fresh = [&] { check(cudaMemset(memory.data(), 0, memory.bytes()), "cudaMemset"); };
  for (const unsigned blocks : {32u, 64u, 128u}) {
    const LaunchShape shape{blocks, kGridThreads, 1, 0, /*cooperative=*/true};
    report.measure("A4", "grid.sync", {{"blocks", blocks}}, "cycles", [&] {
      launch(grid_sync_kernel, shape, cycles.device());
      return cycles.read() / kGridRounds;
    });
    report.measure("A4", "barrier by red.release and ld.acquire", {{"blocks", blocks}}, "cycles", [&] {
      fresh();
      launch(flag_barrier_kernel, shape, cycles.device(), memory.data<unsigned>());
      return cycles.read() / kGridRounds;
    });
    report.measure("A4", "flag, one way", {{"blocks", blocks}}, "cycles", [&] {
      fresh();
      launch(hop_kernel<Hop::flag>, shape, cycles.device(), memory.data<uint4>());
      return cycles.read() / (2 * kGridRounds);
    });
    report.measure("A4", "relaxed packet, one way", {{"blocks", blocks}}, "cycles", [&] {
      fresh();
      launch(hop_kernel<Hop::packet>, shape, cycles.device(), memory.data<uint4>());
      return cycles.read() / (2 * kGridRounds);
    });
    for (const unsigned kib : {4u, 8u, 16u, 32u}) {
      report.measure("A4", "all-gather by relaxed packets", {{"blocks", blocks}, {"kib", kib}}, "cycles", [&] {
        fresh();
        launch(packet_gather_kernel, shape, cycles.device(), memory.data<uint4>(), kib * 64);
        return cycles.read() / kGridRounds;
      });
    }
  }
}

}  // namespace seqgpu::benchmark
