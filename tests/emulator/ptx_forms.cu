#include "kernels/block/ptx.cuh"
#include "kernels/block/reduce.cuh"

// Every function of ptx.cuh and reduce.cuh once, to compile: with nvcc for several chips, and on the emulator. Nothing
// launches it.

namespace seqgpu::tests {

using namespace kernels;

__global__ void tensor_forms(const float* in, float* out) {
  float d[4] = {};
  std::uint32_t a[4] = {1, 2, 3, pack_bf16x2(in[0], in[1])};
  mma_m16n8k16_bf16(d, a, 1, 2);
  a[0] = to_tf32(in[0]);
  mma_m16n8k8_tf32(d, a, 1, 2);
  const std::uint32_t pair = movmatrix_trans(a[0]);
  out[threadIdx.x] = d[0] + bf16_low(pair) + bf16_high(pair);
}

__global__ void memory_forms(const float* in, float* out, std::uint32_t* flag, std::uint64_t* wide_flag) {
  while (load_acquire(flag) < 1 || load_acquire(wide_flag) < 2) spin_pause();
  store_release(flag, 1);
  store_release(wide_flag, 1);
  red_add_release(flag, 2);
  red_add_release(wide_flag, 2);
  float* s = dynamic_shared<float>();
  cp_async_4(s, in);
  cp_async_8(s + 2, in + 2);
  cp_async_16(s + 4, in + 4, 8);
  cp_async_commit();
  cp_async_wait<1>();
  cp_async_wait<0>();
  named_barrier(1, 64);
  named_barrier_arrive(2, 64);
  grid_sync();
  out[threadIdx.x] = s[threadIdx.x];
}

__global__ void cluster_forms(float* out) {
  auto& barrier = shared<std::uint64_t>();
  float* s = dynamic_shared<float>();
  mbarrier_init(&barrier, 1);
  fence_mbarrier_init();
  cluster_sync();
  mbarrier_expect_tx(&barrier, 28);
  mbarrier_arrive(&barrier);
  mbarrier_arrive_expect_tx(&barrier, 8);
  const unsigned peer = (cluster_rank() + 1) % cluster_size();
  std::uint64_t* peer_barrier = map_shared(&barrier, peer);
  float* peer_s = map_shared(s, peer);
  store_async_4(peer_s, 1.f, peer_barrier);
  store_async_4(peer_s, 1u, peer_barrier);
  store_async_8(peer_s, make_uint2(1, 2), peer_barrier);
  store_async_16(peer_s, make_uint4(1, 2, 3, 4), peer_barrier);
  store_async_16(peer_s, make_float4(1, 2, 3, 4), peer_barrier);
  mbarrier_arrive_peer(peer_barrier);
  if (!mbarrier_try_wait_parity(&barrier, 0)) mbarrier_wait_parity(&barrier, 0);
  cluster_arrive();
  cluster_wait();
  cluster_arrive_relaxed();
  cluster_wait();
  out[threadIdx.x] = s[cluster_id()];
}

__global__ void reduce_forms(const float* in, double* out) {
  const float value = in[threadIdx.x];
  out[threadIdx.x] = block_sum(value) + block_max(value) + block_inclusive_scan(value, Sum{}) +
                     block_max(static_cast<int>(threadIdx.x)) + block_sum(double{value}) + warp_sum(value);
}

void launch_forms(const float* in, float* out, double* sums, std::uint32_t* flag, std::uint64_t* wide_flag) {
  launch(tensor_forms, {.grid = 1, .block = 32}, in, out);
  launch(memory_forms, {.grid = 2, .block = 64, .shared_bytes = 64 * 1024, .cooperative = true}, in, out, flag,
         wide_flag);
  launch(cluster_forms, {.grid = 16, .block = 32, .cluster = 16}, out);
  launch(reduce_forms, {.grid = 1, .block = 64}, in, sums);
}

}  // namespace seqgpu::tests
