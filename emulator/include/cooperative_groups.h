#pragma once

#include "cuda_runtime.h"

// Emulated <cooperative_groups.h>: block, tile of a warp, cluster, grid.

namespace cooperative_groups {

struct thread_block {
  void sync(emulator::Where where = emulator::Where::current()) const { __syncthreads(where); }
  unsigned thread_rank() const { return threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z); }
  unsigned size() const { return blockDim.x * blockDim.y * blockDim.z; }
  unsigned num_threads() const { return size(); }
};

struct grid_group {
  void sync(emulator::Where where = emulator::Where::current()) const {
    emulator::barrier(emulator::Scope::grid, 0, emulator::Reduction::none, emulator::here(where));
  }
  bool is_valid() const { return emulator::is_cooperative(); }
  unsigned long long num_blocks() const { return 1ull * gridDim.x * gridDim.y * gridDim.z; }
  unsigned long long block_rank() const {
    return blockIdx.x + 1ull * gridDim.x * (blockIdx.y + 1ull * gridDim.y * blockIdx.z);
  }
};

struct cluster_group {
  struct arrival_token {};
  static void sync(emulator::Where where = emulator::Where::current()) {
    emulator::barrier(emulator::Scope::cluster, 0, emulator::Reduction::none, emulator::here(where));
  }
  static arrival_token barrier_arrive(emulator::Where where = emulator::Where::current()) {
    emulator::barrier_arrive(emulator::Scope::cluster, emulator::here(where));
    return {};
  }
  static void barrier_wait(arrival_token&&, emulator::Where where = emulator::Where::current()) {
    emulator::barrier_wait(emulator::Scope::cluster, emulator::here(where));
  }
  static void barrier_wait(emulator::Where where = emulator::Where::current()) {
    emulator::barrier_wait(emulator::Scope::cluster, emulator::here(where));
  }
  static unsigned block_rank() { return emulator::cluster_rank(); }
  static unsigned num_blocks() { return emulator::cluster_size(); }
  static dim3 dim_blocks() { return emulator::cluster_shape(); }
  static unsigned num_threads() { return num_blocks() * blockDim.x * blockDim.y * blockDim.z; }
  template <class T>
  static T* map_shared_rank(T* p, int rank, emulator::Where where = emulator::Where::current()) {
    return static_cast<T*>(emulator::map_shared_rank(p, static_cast<unsigned>(rank), emulator::here(where)));
  }
};

template <unsigned Size>
struct thread_block_tile {
  static_assert(Size >= 1 && Size <= 32 && (Size & (Size - 1)) == 0);
  unsigned thread_rank() const { return emulator::lane_id() % Size; }
  unsigned meta_group_rank() const { return thread_block{}.thread_rank() / Size; }
  static constexpr unsigned size() { return Size; }
  static constexpr unsigned num_threads() { return Size; }
  unsigned mask() const {
    return Size == 32 ? 0xffffffffu : ((1u << (Size % 32)) - 1) << (emulator::lane_id() / Size * Size);
  }
  void sync(emulator::Where where = emulator::Where::current()) const { __syncwarp(mask(), where); }
  template <class T>
  T shfl(T value, int source, emulator::Where where = emulator::Where::current()) const {
    return __shfl_sync(mask(), value, source, Size, where);
  }
  template <class T>
  T shfl_up(T value, unsigned delta, emulator::Where where = emulator::Where::current()) const {
    return __shfl_up_sync(mask(), value, delta, Size, where);
  }
  template <class T>
  T shfl_down(T value, unsigned delta, emulator::Where where = emulator::Where::current()) const {
    return __shfl_down_sync(mask(), value, delta, Size, where);
  }
  template <class T>
  T shfl_xor(T value, int bits, emulator::Where where = emulator::Where::current()) const {
    return __shfl_xor_sync(mask(), value, bits, Size, where);
  }
  bool any(int predicate, emulator::Where where = emulator::Where::current()) const {
    return __any_sync(mask(), predicate, where);
  }
  bool all(int predicate, emulator::Where where = emulator::Where::current()) const {
    return __all_sync(mask(), predicate, where);
  }
  unsigned ballot(int predicate, emulator::Where where = emulator::Where::current()) const {
    return __ballot_sync(mask(), predicate, where) >> (emulator::lane_id() / Size * Size);
  }
};

inline thread_block this_thread_block() { return {}; }
inline grid_group this_grid() { return {}; }
inline cluster_group this_cluster() { return {}; }
template <unsigned Size>
thread_block_tile<Size> tiled_partition(const thread_block&) {
  return {};
}

}  // namespace cooperative_groups
