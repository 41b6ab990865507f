#pragma once

#include "micro_support.cuh"

// A1 to A3: how many clusters fit, and what an exchange inside one costs. Cycles are those of the first block.
namespace seqgpu::benchmark {

constexpr unsigned kClusterThreads = 256;
constexpr int kRounds = 2000;

struct PushBox {
  uint4 inbox;
  std::uint64_t full;
};

enum class Signal { push16, arrive };

/// One thread of the first and one of the last block of a cluster answer each other.
template <Signal kSignal>
__global__ void ping_pong_kernel(long long* cycles) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  __shared__ PushBox box;
  const std::uint32_t full = shared_address(&box.full), inbox = shared_address(&box.inbox);
  const std::uint32_t rank = cluster_rank(), last = cluster_size() - 1;
  if (threadIdx.x == 0) barrier_init(full, 1);
  cluster_barrier();
  if (threadIdx.x == 0 && (rank == 0 || rank == last)) {
    const std::uint32_t partner = rank == 0 ? last : 0;
    const std::uint32_t to = in_block(inbox, partner), to_full = in_block(full, partner);
    const auto signal = [&](int round) {
      if constexpr (kSignal == Signal::push16) {
        push<16>(to, to_full, static_cast<std::uint32_t>(round));
      } else {
        barrier_arrive_remote(to_full);
      }
    };
    bool arrived = true;
    const long long start = clock64();
    for (int round = 0; round < kRounds && arrived; ++round) {
      if constexpr (kSignal == Signal::push16) barrier_expect(full, 16);
      if (rank == 0) signal(round);
      arrived = barrier_wait(full, static_cast<std::uint32_t>(round & 1));
      if (rank != 0) signal(round);
    }
    if (rank == 0) *cycles = arrived ? clock64() - start : -1;
  }
  cluster_barrier();
#endif
}

/// Every block sends `bytes` to every block, then waits for all that it was sent: one time step's exchange.
/// kWidth: bytes of one st.async, or 0 for one cp.async.bulk a destination. Two barriers alternate: a block sends round
/// t+1 only after it has received round t from all, who have by then all passed round t-1.
template <int kWidth>
__global__ void all_gather_kernel(long long* cycles, unsigned log_bytes) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  extern __shared__ __align__(128) unsigned char memory[];  // source, then one area a block
  __shared__ std::uint64_t full[2];
  const std::uint32_t rank = cluster_rank(), size = cluster_size(), bytes = 1u << log_bytes;
  const std::uint32_t source = shared_address(memory), area = source + bytes + rank * bytes;
  const std::uint32_t barriers = shared_address(full);
  for (unsigned i = threadIdx.x; i < bytes / 4; i += blockDim.x) reinterpret_cast<unsigned*>(memory)[i] = i;
  if (threadIdx.x == 0) {
    barrier_init(barriers, 1);
    barrier_init(barriers + 8, 1);
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  cluster_barrier();
  constexpr unsigned kShift = kWidth == 16 ? 4 : kWidth == 8 ? 3 : 2;
  const unsigned log_packets = kWidth == 0 ? 0 : log_bytes - kShift, packets = 1u << log_packets;
  const unsigned sends = packets * size;  // sizes are powers of two: no division between sends
  bool arrived = true;
  const long long start = clock64();
  if (threadIdx.x < sends) {  // the others have nothing to send, so they must not wait either
    for (int round = 0; round < kRounds && arrived; ++round) {
      const std::uint32_t barrier = barriers + 8 * (round & 1);
      if (threadIdx.x == 0) barrier_expect(barrier, bytes * size);
      for (unsigned i = threadIdx.x; i < sends; i += blockDim.x) {
        const unsigned packet = i & (packets - 1);
        const std::uint32_t destination = ((i >> log_packets) + rank) & (size - 1);
        if constexpr (kWidth == 0) {
          push_bulk(in_block(area, destination), source, bytes, in_block(barrier, destination));
        } else {
          push<kWidth>(in_block(area + (packet << kShift), destination), in_block(barrier, destination), packet);
        }
      }
      arrived = barrier_wait(barrier, static_cast<std::uint32_t>((round >> 1) & 1));
    }
  }
  if (threadIdx.x == 0 && blockIdx.x == 0) *cycles = arrived ? clock64() - start : -1;
  cluster_barrier();
#endif
}

/// Each load's address comes from the load before, in the last block's shared memory.
static __global__ void remote_load_kernel(long long* cycles) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  __shared__ std::uint32_t next[32];
  if (threadIdx.x < 32) next[threadIdx.x] = ((threadIdx.x + 1) & 31) * 4;
  __syncthreads();
  cluster_barrier();
  if (threadIdx.x == 0 && cluster_rank() == 0) {
    const std::uint32_t base = in_block(shared_address(next), cluster_size() - 1);
    std::uint32_t offset = 0;
    const long long start = clock64();
    for (int i = 0; i < kRounds; ++i) {
      asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(offset) : "r"(base + offset) : "memory");
    }
    *cycles = clock64() - start + (offset == 1 ? 1 : 0);
  }
  cluster_barrier();
#endif
}

template <bool kRelaxed>
__global__ void cluster_barrier_kernel(long long* cycles) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 900
  cluster_barrier();
  const long long start = clock64();
  for (int i = 0; i < kRounds; ++i) {
    if constexpr (kRelaxed) {
      cluster_barrier_relaxed();
    } else {
      cluster_barrier();
    }
  }
  if (threadIdx.x == 0 && blockIdx.x == 0) *cycles = clock64() - start;
#endif
}

/// Clusters of this shape that are resident at once.
template <class... P>
int clusters_that_fit(void (*kernel)(P...), const LaunchShape& shape) {
  allow(kernel, shape);
  cudaLaunchAttribute attributes[2];
  const cudaLaunchConfig_t config = launch_config(shape, attributes);
  int clusters = 0;
  check(cudaOccupancyMaxActiveClusters(&clusters, kernel, &config), "cudaOccupancyMaxActiveClusters");
  return clusters;
}

inline void measure_occupancy(Report& report) {
  for (const unsigned cluster : {2u, 4u, 8u, 16u}) {
    for (const std::size_t kib : {16, 100, 200}) {
      const LaunchShape shape{cluster, kClusterThreads, cluster, kib * 1024};
      report.measure("A1", "max active clusters", {{"cluster", cluster}, {"shared_kib", kib}}, "clusters",
                     [&] { return static_cast<double>(clusters_that_fit(all_gather_kernel<16>, shape)); });
    }
  }
}

/// By one cluster alone, and by as many as fit, one block a multiprocessor: do they slow each other down?
template <int kWidth>
void measure_all_gather(Report& report, const char* name, unsigned cluster) {
  Cycles cycles;
  for (const bool crowded : {false, true}) {
    for (unsigned log_bytes = 8; log_bytes <= 14; log_bytes += 2) {
      const unsigned bytes = 1u << log_bytes;
      LaunchShape shape{cluster, kClusterThreads, cluster, std::size_t{bytes} * (cluster + 1)};
      constexpr std::size_t kMost = 200 * 1024;
      if (shape.shared_bytes > kMost) continue;
      const Json parameters{{"cluster", cluster}, {"bytes_per_block", bytes}, {"clusters", crowded ? "all" : "one"}};
      report.measure("A2", name, parameters, "cycles", [&] {
        if (crowded) {
          shape.shared_bytes = kMost;
          const int fit = clusters_that_fit(all_gather_kernel<kWidth>, shape);
          if (fit == 0) throw std::runtime_error("no cluster fits");
          shape.blocks = cluster * static_cast<unsigned>(fit);
        }
        launch(all_gather_kernel<kWidth>, shape, cycles.device(), log_bytes);
        return cycles.read() / kRounds;
      });
    }
  }
}

inline void measure_pushes(Report& report) {
  Cycles cycles;
  for (const unsigned cluster : {2u, 4u, 8u, 16u}) {
    report.measure("A2", "push 16 bytes, one way", {{"cluster", cluster}}, "cycles", [&] {
      launch(ping_pong_kernel<Signal::push16>, {cluster, 32, cluster}, cycles.device());
      return cycles.read() / (2 * kRounds);
    });
    report.measure("A2", "remote load", {{"cluster", cluster}}, "cycles", [&] {
      launch(remote_load_kernel, {cluster, 32, cluster}, cycles.device());
      return cycles.read() / kRounds;
    });
    measure_all_gather<4>(report, "all-gather, st.async 4 bytes", cluster);
    measure_all_gather<8>(report, "all-gather, st.async 8 bytes", cluster);
    measure_all_gather<16>(report, "all-gather, st.async 16 bytes", cluster);
    measure_all_gather<0>(report, "all-gather, cp.async.bulk", cluster);
  }
}

inline void measure_cluster_barriers(Report& report) {
  Cycles cycles;
  for (const unsigned cluster : {2u, 4u, 8u, 16u}) {
    const LaunchShape shape{cluster, kClusterThreads, cluster};
    report.measure("A3", "cluster barrier, release and acquire", {{"cluster", cluster}}, "cycles", [&] {
      launch(cluster_barrier_kernel<false>, shape, cycles.device());
      return cycles.read() / kRounds;
    });
    report.measure("A3", "cluster barrier, relaxed", {{"cluster", cluster}}, "cycles", [&] {
      launch(cluster_barrier_kernel<true>, shape, cycles.device());
      return cycles.read() / kRounds;
    });
    report.measure("A3", "remote arrive to wake, one way", {{"cluster", cluster}}, "cycles", [&] {
      launch(ping_pong_kernel<Signal::arrive>, {cluster, 32, cluster}, cycles.device());
      return cycles.read() / (2 * kRounds);
    });
  }
}

}  // namespace seqgpu::benchmark
