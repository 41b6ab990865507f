#pragma once

#include "micro_support.cuh"

// A5, A6: the rate of mma.sync, and latencies of what a step's chain is made of.
namespace seqgpu::benchmark {

constexpr int kMmaRounds = 512;

/// Each warp keeps `kChains` accumulators busy; A in registers, B in registers or loaded from shared memory each time.
template <int kChains, bool kLoadB>
__global__ void mma_kernel(long long* cycles, float* sink) {
  __shared__ uint4 b_tiles[32 * 8];
  for (unsigned i = threadIdx.x; i < 32 * 8; i += blockDim.x) b_tiles[i] = uint4{i, i, i, i};
  __syncthreads();
  float sums[kChains][4] = {};
  const std::uint32_t a0 = threadIdx.x, a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3;
  uint4 b = b_tiles[threadIdx.x & 31];
  __syncthreads();
  const long long start = clock64();
  for (int round = 0; round < kMmaRounds; ++round) {
    if constexpr (kLoadB) {
      const std::uint32_t at = shared_address(&b_tiles[(round & 7) * 32 + (threadIdx.x & 31)]);
      asm volatile("ld.shared.v4.u32 {%0, %1, %2, %3}, [%4];" : "=r"(b.x), "=r"(b.y), "=r"(b.z), "=r"(b.w) : "r"(at));
    }
#pragma unroll
    for (int c = 0; c < kChains; ++c) {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+f"(sums[c][0]), "+f"(sums[c][1]), "+f"(sums[c][2]), "+f"(sums[c][3])
          : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(c % 2 ? b.z : b.x), "r"(c % 2 ? b.w : b.y));
    }
  }
  __syncthreads();
  const long long stop = clock64();
  float sum = 0;
#pragma unroll
  for (int c = 0; c < kChains; ++c) sum += sums[c][0] + sums[c][1] + sums[c][2] + sums[c][3];
  sink[blockIdx.x * blockDim.x + threadIdx.x] = sum;
  if (threadIdx.x == 0 && blockIdx.x == 0) *cycles = stop - start;
}

template <int kChains, bool kLoadB>
void measure_mma_rate(Report& report, const char* name, int multiprocessors) {
  Cycles cycles;
  DeviceMemory sink(sizeof(float) * 512 * static_cast<std::size_t>(multiprocessors));
  for (const unsigned warps : {1u, 2u, 3u, 4u}) {
    const LaunchShape shape{static_cast<unsigned>(multiprocessors), 128 * warps};
    report.measure("A5", name, {{"warps_per_quarter", warps}, {"accumulators", kChains}}, "cycles", [&] {
      launch(mma_kernel<kChains, kLoadB>, shape, cycles.device(), sink.data<float>());
      return cycles.read() / (kMmaRounds * kChains * static_cast<double>(warps));
    });
  }
}

// One link of a chain each; the chain's length divides the cycles.
struct FmaLink {
  static __device__ float apply(float x) {
    asm volatile("fma.rn.f32 %0, %0, %0, %0;" : "+f"(x));
    return x;
  }
};
struct Ex2Link {
  static __device__ float apply(float x) {
    asm volatile("ex2.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
  }
};
struct Lg2Link {
  static __device__ float apply(float x) {
    asm volatile("lg2.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
  }
};
struct RcpLink {
  static __device__ float apply(float x) {
    asm volatile("rcp.approx.ftz.f32 %0, %0;" : "+f"(x));
    return x;
  }
};
struct TanhLink {
  static __device__ float apply(float x) {
    asm volatile("tanh.approx.f32 %0, %0;" : "+f"(x));
    return x;
  }
};
struct SigmoidExactLink {  // 1 / (1 + 2^(-x log2 e))
  static __device__ float apply(float x) { return RcpLink::apply(1.f + Ex2Link::apply(-1.4426950408889634f * x)); }
};
struct SigmoidTanhLink {  // (1 + tanh(x / 2)) / 2
  static __device__ float apply(float x) { return fmaf(TanhLink::apply(0.5f * x), 0.5f, 0.5f); }
};
struct TanhExactLink {
  static __device__ float apply(float x) {
    return fmaf(-2.f, RcpLink::apply(1.f + Ex2Link::apply(2.885390081777927f * x)), 1.f);
  }
};
template <class Sigmoid, class Tanh>
struct LstmLink {  // h of one step as the input of all gates of the next
  static __device__ float apply(float x) {
    const float i = Sigmoid::apply(x), f = Sigmoid::apply(x + 0.1f), g = Tanh::apply(x - 0.1f),
                o = Sigmoid::apply(x + 0.2f);
    return o * Tanh::apply(fmaf(f, x, i * g));
  }
};
struct ShuffleLink {
  static __device__ float apply(float x) { return __shfl_xor_sync(0xffffffffu, x, 1); }
};
struct MovmatrixLink {
  static __device__ float apply(float x) {
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %0;" : "+f"(x));
    return x;
  }
};
struct PackLink {  // two floats to bf16x2 and back
  static __device__ float apply(float x) {
    std::uint32_t packed;
    asm volatile("cvt.rn.bf16x2.f32 %0, %1, %1;" : "=r"(packed) : "f"(x));
    return __uint_as_float(packed << 16);
  }
};
struct NamedBarrierLink {
  static __device__ float apply(float x) {
    asm volatile("bar.sync 1, %0;" ::"r"(blockDim.x) : "memory");
    return x;
  }
};

template <class Link>
__global__ void chain_kernel(long long* cycles, float* sink, int links) {
  float x = 0.25f + 0.01f * static_cast<float>(threadIdx.x);
  __syncthreads();
  const long long start = clock64();
#pragma unroll 8
  for (int i = 0; i < links; ++i) x = Link::apply(x);
  const long long stop = clock64();
  sink[threadIdx.x] = x;
  if (threadIdx.x == 0) *cycles = stop - start;
}

enum class Memory { shared, l2 };

/// Each load's address comes from the load before.
template <Memory kMemory>
__global__ void load_chain_kernel(long long* cycles, unsigned* table, int links) {
  __shared__ unsigned next[64];
  for (unsigned i = threadIdx.x; i < 64; i += blockDim.x) {
    next[i] = 4 * ((i + 1) % 64);
    table[i] = (i + 1) % 64;
  }
  __syncthreads();
  unsigned at = 0;
  const long long start = clock64();
  for (int i = 0; i < links; ++i) {
    if constexpr (kMemory == Memory::shared) {
      asm volatile("ld.shared.u32 %0, [%1];" : "=r"(at) : "r"(shared_address(next) + at) : "memory");
    } else {
      asm volatile("ld.relaxed.gpu.global.u32 %0, [%1];" : "=r"(at) : "l"(table + at) : "memory");
    }
  }
  const long long stop = clock64();
  if (threadIdx.x == 0) *cycles = stop - start + (at == 1000 ? 1 : 0);
}

template <class Link>
void measure_chain(Report& report, const char* name, unsigned threads = 32) {
  constexpr int kLinks = 4096;
  Cycles cycles;
  DeviceMemory sink(sizeof(float) * 1024);
  report.measure("A6", name, {{"threads", threads}}, "cycles", [&] {
    launch(chain_kernel<Link>, {1, threads}, cycles.device(), sink.data<float>(), kLinks);
    return cycles.read() / kLinks;
  });
}

template <Memory kMemory>
void measure_loads(Report& report, const char* name) {
  constexpr int kLinks = 4096;
  Cycles cycles;
  DeviceMemory table(sizeof(unsigned) * 64);
  report.measure("A6", name, Json::object(), "cycles", [&] {
    launch(load_chain_kernel<kMemory>, {1, 32}, cycles.device(), table.data<unsigned>(), kLinks);
    return cycles.read() / kLinks;
  });
}

inline void measure_latencies(Report& report) {
  measure_chain<FmaLink>(report, "fma");
  measure_chain<Ex2Link>(report, "ex2.approx");
  measure_chain<Lg2Link>(report, "lg2.approx");
  measure_chain<RcpLink>(report, "rcp.approx");
  measure_chain<TanhLink>(report, "tanh.approx");
  measure_chain<SigmoidExactLink>(report, "sigmoid, by ex2 and rcp");
  measure_chain<SigmoidTanhLink>(report, "sigmoid, by tanh.approx");
  measure_chain<TanhExactLink>(report, "tanh, by ex2 and rcp");
  measure_chain<LstmLink<SigmoidExactLink, TanhExactLink>>(report, "LSTM cell, by ex2 and rcp");
  measure_chain<LstmLink<SigmoidTanhLink, TanhLink>>(report, "LSTM cell, by tanh.approx");
  measure_chain<ShuffleLink>(report, "shfl.xor");
  if (report.capability() >= 75) measure_chain<MovmatrixLink>(report, "movmatrix");
  measure_chain<PackLink>(report, "to bf16 and back");
  for (const unsigned threads : {64u, 128u, 256u}) measure_chain<NamedBarrierLink>(report, "named barrier", threads);
  measure_loads<Memory::shared>(report, "shared load");
  measure_loads<Memory::l2>(report, "L2 load");
}

inline void measure_mma(Report& report, int multiprocessors) {
  measure_mma_rate<1, false>(report, "mma.sync m16n8k16 bf16, one chain", multiprocessors);
  measure_mma_rate<4, false>(report, "mma.sync m16n8k16 bf16", multiprocessors);
  measure_mma_rate<4, true>(report, "mma.sync m16n8k16 bf16, B from shared memory", multiprocessors);
}

/// The clock that the cycles of all others are to be read with.
static __global__ void clock_kernel(long long* megahertz) {
  unsigned long long begin_ns = 0, end_ns = 0;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(begin_ns));
  const long long start = clock64();
  while (clock64() - start < 40'000'000) {
  }
  const long long cycles = clock64() - start;
  asm volatile("mov.u64 %0, %%globaltimer;" : "=l"(end_ns));
  *megahertz = cycles * 1000 / static_cast<long long>(end_ns - begin_ns);
}

inline void measure_clock(Report& report) {
  Cycles megahertz;
  report.measure("A0", "clock of a multiprocessor", Json::object(), "MHz", [&] {
    launch(clock_kernel, {1, 1}, megahertz.device());
    return megahertz.read();
  });
}

}  // namespace seqgpu::benchmark
