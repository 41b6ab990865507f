#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block/cuda.cuh"

#if defined(SEQGPU_EMULATED)
#include "emulated/tensor.hpp"
#else
#include <cooperative_groups.h>
#endif

// Instructions that CUDA C++ has no word for, each with its emulated twin. sm_80 and newer; what needs sm_90 (clusters,
// mbarrier transactions, st.async) traps on older chips, where no launch would start it.

namespace seqgpu::kernels {

#if defined(SEQGPU_EMULATED)
#define SEQGPU_SM90 1
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#define SEQGPU_SM90 1
#else
#define SEQGPU_SM90 0
#endif

namespace ptx {

#if !defined(SEQGPU_EMULATED)
// Addresses inside the shared window: of this block, or of a block of the cluster.
__device__ __forceinline__ std::uint32_t shared_address(const void* p) {
  return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
}
__device__ __forceinline__ std::uint32_t cluster_address([[maybe_unused]] const void* p) {
  std::uint64_t address = 0;
#if SEQGPU_SM90
  asm("cvta.to.shared::cluster.u64 %0, %1;" : "=l"(address) : "l"(p));
#endif
  return static_cast<std::uint32_t>(address);
}
#endif

}  // namespace ptx

// Tensor cores --------------------------------------------------------------------------------------------------------
// Fragments, with g = lane / 4 and t = lane % 4. D[16,8]: d0 d1 at (g, 2t) (g, 2t+1), d2 d3 eight rows below.

/// D += A[16,16] B[16,8]; bf16 pairs, lower column (of A) or row (of B) in the low half.
/// a0 at (g, 2t), a1 at (g+8, 2t), a2 at (g, 2t+8), a3 at (g+8, 2t+8); b0 at (2t, g), b1 at (2t+8, g)
__device__ __forceinline__ void mma_m16n8k16_bf16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                                  std::uint32_t b1, [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mma_m16n8k16_bf16(d, a, b0, b1, place);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

/// D += A[16,8] B[8,8] in tf32: floats whose low 13 bits are ignored (round them with to_tf32).
/// a0 at (g, t), a1 at (g+8, t), a2 at (g, t+4), a3 at (g+8, t+4); b0 at (t, g), b1 at (t+4, g)
__device__ __forceinline__ void mma_m16n8k8_tf32(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                                 std::uint32_t b1, [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::mma_m16n8k8_tf32(d, a, b0, b1, place);
#else
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#endif
}

/// The nearest tf32, ties away from zero.
__device__ __forceinline__ std::uint32_t to_tf32(float value) {
#if defined(SEQGPU_EMULATED)
  return emulator::to_tf32(value);
#else
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
#endif
}

/// Two floats to the nearest bf16 (ties to even), `low` in the low half.
__device__ __forceinline__ std::uint32_t pack_bf16x2(float low, float high) {
#if defined(SEQGPU_EMULATED)
  return emulator::to_bf16(low) | std::uint32_t{emulator::to_bf16(high)} << 16;
#else
  std::uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
#endif
}
__device__ __forceinline__ float bf16_low(std::uint32_t pair) { return __uint_as_float(pair << 16); }
__device__ __forceinline__ float bf16_high(std::uint32_t pair) { return __uint_as_float(pair & 0xffff0000u); }

/// Transposes an 8x8 matrix of 16-bit values of which each lane holds (g, 2t) and (g, 2t+1).
__device__ __forceinline__ std::uint32_t movmatrix_trans(std::uint32_t pair,
                                                         [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  return emulator::movmatrix_trans(pair, place);
#else
  std::uint32_t transposed;
  asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(pair));
  return transposed;
#endif
}

// Memory order, at the scope of the whole GPU -------------------------------------------------------------------------
// A waiting loop is `while (load_acquire(p) < wanted) spin_pause();`.

__device__ __forceinline__ void spin_pause() { __nanosleep(20); }

__device__ __forceinline__ std::uint32_t load_acquire(const std::uint32_t* p) {
#if defined(SEQGPU_EMULATED)
  return emulator::atomic_load(p);
#else
  std::uint32_t value;
  asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(value) : "l"(p) : "memory");
  return value;
#endif
}
__device__ __forceinline__ std::uint64_t load_acquire(const std::uint64_t* p) {
#if defined(SEQGPU_EMULATED)
  return emulator::atomic_load(p);
#else
  std::uint64_t value;
  asm volatile("ld.acquire.gpu.u64 %0, [%1];" : "=l"(value) : "l"(p) : "memory");
  return value;
#endif
}

__device__ __forceinline__ void store_release(std::uint32_t* p, std::uint32_t value) {
#if defined(SEQGPU_EMULATED)
  emulator::atomic_store(p, value);
#else
  asm volatile("st.release.gpu.u32 [%0], %1;" ::"l"(p), "r"(value) : "memory");
#endif
}
__device__ __forceinline__ void store_release(std::uint64_t* p, std::uint64_t value) {
#if defined(SEQGPU_EMULATED)
  emulator::atomic_store(p, value);
#else
  asm volatile("st.release.gpu.u64 [%0], %1;" ::"l"(p), "l"(value) : "memory");
#endif
}

__device__ __forceinline__ void red_add_release(std::uint32_t* p, std::uint32_t value) {
#if defined(SEQGPU_EMULATED)
  atomicAdd(p, value);
#else
  asm volatile("red.release.gpu.add.u32 [%0], %1;" ::"l"(p), "r"(value) : "memory");
#endif
}
__device__ __forceinline__ void red_add_release(std::uint64_t* p, std::uint64_t value) {
#if defined(SEQGPU_EMULATED)
  atomicAdd(p, value);
#else
  asm volatile("red.release.gpu.add.u64 [%0], %1;" ::"l"(p), "l"(value) : "memory");
#endif
}

// cp.async: global to shared memory, arriving at the wait of its group ------------------------------------------------
// Both addresses are aligned to the size. Of the source only the first `from_bytes` are read, the rest becomes 0.

__device__ __forceinline__ void cp_async_4(void* to, const void* from, unsigned from_bytes = 4,
                                           [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::async_copy(to, from, 4, from_bytes, emulator::here(place));
#else
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(ptx::shared_address(to)), "l"(from), "r"(from_bytes)
               : "memory");
#endif
}
__device__ __forceinline__ void cp_async_8(void* to, const void* from, unsigned from_bytes = 8,
                                           [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::async_copy(to, from, 8, from_bytes, emulator::here(place));
#else
  asm volatile("cp.async.ca.shared.global [%0], [%1], 8, %2;" ::"r"(ptx::shared_address(to)), "l"(from), "r"(from_bytes)
               : "memory");
#endif
}
__device__ __forceinline__ void cp_async_16(void* to, const void* from, unsigned from_bytes = 16,
                                            [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::async_copy(to, from, 16, from_bytes, emulator::here(place));
#else
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(ptx::shared_address(to)), "l"(from),
               "r"(from_bytes)
               : "memory");
#endif
}

/// Ends a group of copies.
__device__ __forceinline__ void cp_async_commit() {
#if defined(SEQGPU_EMULATED)
  emulator::async_commit();
#else
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most `InFlight` of this thread's groups are on their way. Other threads' copies need a barrier too.
template <int InFlight>
__device__ __forceinline__ void cp_async_wait() {
#if defined(SEQGPU_EMULATED)
  emulator::async_wait(InFlight);
#else
  asm volatile("cp.async.wait_group %0;" ::"n"(InFlight) : "memory");
#endif
}

// Barriers ------------------------------------------------------------------------------------------------------------

/// Barrier `id`, 1 to 15, of `threads` threads of the block, whole warps; __syncthreads() is number 0.
__device__ __forceinline__ void named_barrier(unsigned id, unsigned threads,
                                              [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::named_barrier(id, threads, true, emulator::here(place));
#else
  asm volatile("barrier.cta.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}
/// Counts for that barrier without waiting.
__device__ __forceinline__ void named_barrier_arrive(unsigned id, unsigned threads,
                                                     [[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::named_barrier(id, threads, false, emulator::here(place));
#else
  asm volatile("barrier.cta.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
#endif
}

/// All threads of a cooperative launch.
__device__ __forceinline__ void grid_sync([[maybe_unused]] Place place = Place::current()) {
#if defined(SEQGPU_EMULATED)
  emulator::barrier(emulator::Scope::grid, 0, emulator::Reduction::none, emulator::here(place));
#else
  cooperative_groups::this_grid().sync();
#endif
}

}  // namespace seqgpu::kernels

#include "kernels/block/ptx_cluster.cuh"
