#pragma once

#include "kernels/block/ptx.cuh"

// The part of ptx.cuh for thread-block clusters: who is in it, its barrier, distributed shared memory, mbarriers.

namespace seqgpu::kernels {

// The cluster: 1 block where the launch asked for none
// -----------------------------------------------------------------

__device__ __forceinline__ unsigned cluster_rank() {
#if defined(SEQGPU_EMULATED)
  return emulator::cluster_rank();
#elif SEQGPU_SM90
  unsigned rank;
  asm("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  return rank;
#else
  return 0;
#endif
}
__device__ __forceinline__ unsigned cluster_size() {
#if defined(SEQGPU_EMULATED)
  return emulator::cluster_size();
#elif SEQGPU_SM90
  unsigned size;
  asm("mov.u32 %0, %%cluster_nctarank;" : "=r"(size));
  return size;
#else
  return 1;
#endif
}
/// Which cluster along x.
__device__ __forceinline__ unsigned cluster_id() {
#if defined(SEQGPU_EMULATED)
  return blockIdx.x / emulator::cluster_shape().x;
#elif SEQGPU_SM90
  unsigned id;
  asm("mov.u32 %0, %%clusterid.x;" : "=r"(id));
  return id;
#else
  return blockIdx.x;
#endif
}

// The barrier of all threads of the cluster. Arrive and wait alternate; between them a thread may do other work.

/// Writes before the arrival are visible after the peers' wait.
__device__ __forceinline__ void cluster_arrive([[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::barrier_arrive(emulator::Scope::cluster, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("barrier.cluster.arrive.release;" ::: "memory");
#else
  __trap();
#endif
}
/// Orders nothing before it: for "I have read", not for "I have written". The emulator takes it for a full arrival.
__device__ __forceinline__ void cluster_arrive_relaxed([[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::barrier_arrive(emulator::Scope::cluster, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("barrier.cluster.arrive.relaxed;" ::: "memory");
#else
  __trap();
#endif
}
__device__ __forceinline__ void cluster_wait([[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::barrier_wait(emulator::Scope::cluster, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("barrier.cluster.wait.acquire;" ::: "memory");
#else
  __trap();
#endif
}
__device__ __forceinline__ void cluster_sync([[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::barrier(emulator::Scope::cluster, 0, emulator::Reduction::none, emulator::here(place));
#else
  cluster_arrive();
  cluster_wait();
#endif
}

/// The same shared object in block `rank` of the cluster, as a generic pointer. That block must have started and must
/// not exit before the last access.
template <class T>
__device__ __forceinline__ T* map_shared(T* p, [[maybe_unused]] unsigned rank,
                                         [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  return static_cast<T*>(emulator::map_shared_rank(p, rank, emulator::here(place)));
#elif SEQGPU_SM90
  std::uint64_t mapped;
  asm("mapa.u64 %0, %1, %2;" : "=l"(mapped) : "l"(p), "r"(rank));
  return reinterpret_cast<T*>(mapped);
#else
  return p;
#endif
}

// mbarrier: 8 bytes of shared memory whose phase ends when all arrivals and all expected bytes have come --------------

/// By one thread; before others use it fence_mbarrier_init() and a barrier of the block (or cluster).
__device__ __forceinline__ void mbarrier_init(std::uint64_t* barrier, unsigned arrivals,
                                              [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mbarrier_init(barrier, arrivals, emulator::here(place));
#else
  asm volatile("mbarrier.init.shared.b64 [%0], %1;" ::"r"(ptx::shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}
__device__ __forceinline__ void fence_mbarrier_init() {
#if !defined(SEQGPU_EMULATED) && SEQGPU_SM90
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#endif
}

/// The phase also waits for so many bytes of st.async. Does not arrive.
__device__ __forceinline__ void mbarrier_expect_tx([[maybe_unused]] std::uint64_t* barrier,
                                                   [[maybe_unused]] unsigned bytes,
                                                   [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mbarrier_expect(barrier, bytes, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%0], %1;" ::"r"(ptx::shared_address(barrier)),
               "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}

/// One arrival at a barrier of this block; what the thread did before is seen by those who waited.
__device__ __forceinline__ void mbarrier_arrive(std::uint64_t* barrier,
                                                [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mbarrier_arrive(barrier, 1, emulator::here(place));
#else
  asm volatile("{ .reg .b64 state; mbarrier.arrive.shared.b64 state, [%0]; }" ::"r"(ptx::shared_address(barrier))
               : "memory");
#endif
}
/// Both in one instruction.
__device__ __forceinline__ void mbarrier_arrive_expect_tx([[maybe_unused]] std::uint64_t* barrier,
                                                          [[maybe_unused]] unsigned bytes,
                                                          [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mbarrier_expect(barrier, bytes, emulator::here(place));
  emulator::mbarrier_arrive(barrier, 1, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("mbarrier.arrive.expect_tx.release.cta.shared::cta.b64 _, [%0], %1;" ::"r"(ptx::shared_address(barrier)),
               "r"(bytes)
               : "memory");
#else
  __trap();
#endif
}
/// One arrival at a barrier of any block of the cluster (a pointer from map_shared).
__device__ __forceinline__ void mbarrier_arrive_peer([[maybe_unused]] std::uint64_t* peer_barrier,
                                                     [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mbarrier_arrive(peer_barrier, 1, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%0];" ::"r"(ptx::cluster_address(peer_barrier))
               : "memory");
#else
  __trap();
#endif
}

/// Has the phase of this parity ended? The first phase has parity 0.
__device__ __forceinline__ bool mbarrier_try_wait_parity(std::uint64_t* barrier, unsigned parity,
                                                         [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  return emulator::mbarrier_test(barrier, parity, emulator::here(place));
#else
  std::uint32_t done;
#if SEQGPU_SM90
  asm volatile(
      "{ .reg .pred p;\n"
      "mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p; }"
#else
  asm volatile(
      "{ .reg .pred p;\n"
      "mbarrier.test_wait.parity.shared.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p; }"
#endif
      : "=r"(done)
      : "r"(ptx::shared_address(barrier)), "r"(parity)
      : "memory");
  return done != 0;
#endif
}
/// Waits for the end of the phase of this parity, on a barrier of this block.
__device__ __forceinline__ void mbarrier_wait_parity(std::uint64_t* barrier, unsigned parity,
                                                     [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mbarrier_wait(barrier, parity, emulator::here(place));
#else
  while (!mbarrier_try_wait_parity(barrier, parity)) {
  }
#endif
}

// st.async: stores into a peer's shared memory that count as bytes at an mbarrier of the same peer
// --------------------- Both pointers come from map_shared; addresses are aligned to the size. The peer reads after its
// wait.

__device__ __forceinline__ void store_async_4([[maybe_unused]] void* to, [[maybe_unused]] std::uint32_t value,
                                              [[maybe_unused]] std::uint64_t* barrier,
                                              [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::async_store(to, &value, 4, barrier, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile(
      "st.async.shared::cluster.mbarrier::complete_tx::bytes.u32 [%0], %1, [%2];" ::"r"(ptx::cluster_address(to)),
      "r"(value), "r"(ptx::cluster_address(barrier))
      : "memory");
#else
  __trap();
#endif
}
__device__ __forceinline__ void store_async_4(void* to, float value, std::uint64_t* barrier,
                                              Place place = Place::current()) {
  store_async_4(to, __float_as_uint(value), barrier, place);
}
__device__ __forceinline__ void store_async_8([[maybe_unused]] void* to, [[maybe_unused]] uint2 value,
                                              [[maybe_unused]] std::uint64_t* barrier,
                                              [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::async_store(to, &value, 8, barrier, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.u32 [%0], {%1, %2}, [%3];" ::"r"(
                   ptx::cluster_address(to)),
               "r"(value.x), "r"(value.y), "r"(ptx::cluster_address(barrier))
               : "memory");
#else
  __trap();
#endif
}
__device__ __forceinline__ void store_async_16([[maybe_unused]] void* to, [[maybe_unused]] uint4 value,
                                               [[maybe_unused]] std::uint64_t* barrier,
                                               [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::async_store(to, &value, 16, barrier, emulator::here(place));
#elif SEQGPU_SM90
  asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v4.u32 [%0], {%1, %2, %3, %4}, [%5];" ::"r"(
                   ptx::cluster_address(to)),
               "r"(value.x), "r"(value.y), "r"(value.z), "r"(value.w), "r"(ptx::cluster_address(barrier))
               : "memory");
#else
  __trap();
#endif
}
__device__ __forceinline__ void store_async_16(void* to, float4 value, std::uint64_t* barrier,
                                               Place place = Place::current()) {
  store_async_16(to,
                 make_uint4(__float_as_uint(value.x), __float_as_uint(value.y), __float_as_uint(value.z),
                            __float_as_uint(value.w)),
                 barrier, place);
}

}  // namespace seqgpu::kernels
