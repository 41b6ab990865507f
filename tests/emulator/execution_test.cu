#include <cooperative_groups.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>

#include "emulator/control.hpp"
#include "emulator/execution.hpp"
#include "emulator/faults.hpp"
#include "kernels/block/ptx.cuh"
#include "kernels/block/reduce.cuh"

// What device functions mean: indices, warps, barriers, atomics, groups; and that a run can be repeated.

namespace seqgpu::tests {
namespace {

using namespace kernels;
namespace cg = cooperative_groups;

class Execution : public testing::Test {
 protected:
  void SetUp() override {
    saved_ = emulator::options();
    emulator::reset();
  }
  void TearDown() override {
    emulator::options() = saved_;
    emulator::reset();
  }

 private:
  emulator::Options saved_;
};

__global__ void write_indices(int* out) {
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned rank = cg::this_thread_block().thread_rank();
  out[block * cg::this_thread_block().size() + rank] =
      static_cast<int>(threadIdx.x + 10 * threadIdx.y + 100 * threadIdx.z + 1000 * blockIdx.x + 10000 * blockIdx.z);
}

TEST_F(Execution, NumbersThreadsAndBlocksXFirst) {
  Array<int> out(3 * 2 * 24);
  launch(write_indices, {.grid = dim3(3, 1, 2), .block = dim3(2, 3, 4)}, out.data());
  EXPECT_EQ(compare(out, 3 * 2 * 24,
                    [](int i) {
                      const int rank = i % 24, block = i / 24;
                      return rank % 2 + 10 * (rank / 2 % 3) + 100 * (rank / 6) + 1000 * (block % 3) +
                             10000 * (block / 3);
                    }),
            "");
}

__global__ void warp_functions(int* out) {
  const int lane = static_cast<int>(threadIdx.x);
  int* mine = out + lane * 16;
  mine[0] = __shfl_sync(kFullMask, lane, 5);
  mine[1] = __shfl_sync(kFullMask, lane, 9, 8);
  mine[2] = __shfl_up_sync(kFullMask, lane, 3);
  mine[3] = __shfl_up_sync(kFullMask, lane, 3, 16);
  mine[4] = __shfl_down_sync(kFullMask, lane, 2);
  mine[5] = __shfl_xor_sync(kFullMask, lane, 7);
  mine[6] = static_cast<int>(__ballot_sync(kFullMask, lane % 3 == 0));
  mine[7] = __any_sync(kFullMask, lane == 31) + 2 * __all_sync(kFullMask, lane < 32) + 4 * __all_sync(kFullMask, lane);
  mine[8] = __reduce_add_sync(kFullMask, lane - 16);
  mine[9] = __reduce_min_sync(kFullMask, lane - 16);
  mine[10] = __reduce_max_sync(kFullMask, lane - 16);
  mine[11] = static_cast<int>(__match_any_sync(kFullMask, lane / 4));
  mine[12] = static_cast<int>(__reduce_xor_sync(kFullMask, 1u << lane));
  const unsigned odd = __ballot_sync(kFullMask, lane % 2);
  mine[13] = lane % 2 ? __reduce_add_sync(odd, lane) : 0;
  const auto tile = cg::tiled_partition<8>(cg::this_thread_block());
  mine[14] = tile.shfl(lane, 1) + 100 * static_cast<int>(tile.thread_rank());
  mine[15] = static_cast<int>(__shfl_xor_sync(kFullMask, 1ll << lane, 1) >> (lane ^ 1));
}

TEST_F(Execution, WarpFunctions) {
  for (const auto order : {emulator::Order::forward, emulator::Order::reverse, emulator::Order::random}) {
    emulator::options().order = order;
    Array<int> out(32 * 16);
    launch(warp_functions, {.grid = 1, .block = 32}, out.data());
    finish();
    const auto values = out.get();
    for (int lane = 0; lane < 32; ++lane) {
      const int* mine = values.data() + lane * 16;
      EXPECT_EQ(mine[0], 5);
      EXPECT_EQ(mine[1], lane / 8 * 8 + 1);
      EXPECT_EQ(mine[2], lane < 3 ? lane : lane - 3);
      EXPECT_EQ(mine[3], lane % 16 < 3 ? lane : lane - 3);
      EXPECT_EQ(mine[4], lane + 2 < 32 ? lane + 2 : lane);
      EXPECT_EQ(mine[5], lane ^ 7);
      EXPECT_EQ(mine[6], static_cast<int>(0b01001001001001001001001001001001u));
      EXPECT_EQ(mine[7], 1 + 2);
      EXPECT_EQ(mine[8], 31 * 16 - 16 * 32);
      EXPECT_EQ(mine[9], -16);
      EXPECT_EQ(mine[10], 15);
      EXPECT_EQ(mine[11], static_cast<int>(15u << (lane / 4 * 4)));
      EXPECT_EQ(mine[12], -1);
      EXPECT_EQ(mine[13], lane % 2 ? 256 : 0);
      EXPECT_EQ(mine[14], lane / 8 * 8 + 1 + 100 * (lane % 8));
      EXPECT_EQ(mine[15], 1);
    }
  }
}

__global__ void barrier_reductions(int* out) {
  const int i = static_cast<int>(threadIdx.x);
  const int count = __syncthreads_count(i % 3 == 0);
  const int any = __syncthreads_or(i == 40), none = __syncthreads_or(i > 64);
  const int all = __syncthreads_and(i < 64), not_all = __syncthreads_and(i != 7);
  out[i] = count + 100 * (any != 0) + 1000 * (none != 0) + 10000 * (all != 0) + 100000 * (not_all != 0);
}

TEST_F(Execution, BarriersThatReduce) {
  Array<int> out(64);
  launch(barrier_reductions, {.grid = 1, .block = 64}, out.data());
  EXPECT_EQ(compare(out, 64, [](int) { return 22 + 100 + 10000; }), "");
}

__global__ void all_atomics(int* out, unsigned* bits, float* sum) {
  const int i = static_cast<int>(threadIdx.x);
  atomicAdd(&out[0], i);
  atomicSub(&out[1], 1);
  atomicMin(&out[2], i);
  atomicMax(&out[3], i);
  atomicAnd(&bits[0], ~(1u << i % 32));
  atomicOr(&bits[1], 1u << i % 32);
  atomicXor(&bits[2], 1u);
  atomicInc(&bits[3], 9u);
  atomicCAS(&out[4], 0, i + 1);
  atomicAdd(sum, 0.5f);
  const int before = atomicExch(&out[5], i);
  if (before == i) out[6] = 1;
}

TEST_F(Execution, Atomics) {
  Array<int> out(7, 0);
  Array<unsigned> bits(std::vector<unsigned>{~0u, 0u, 0u, 0u});
  Array<float> sum(1, 0.f);
  launch(all_atomics, {.grid = 1, .block = 64}, out.data(), bits.data(), sum.data());
  finish();
  const auto values = out.get();
  EXPECT_EQ(values[0], 63 * 32);
  EXPECT_EQ(values[1], -64);
  EXPECT_EQ(values[2], 0);
  EXPECT_EQ(values[3], 63);
  EXPECT_NE(values[4], 0);
  EXPECT_EQ(bits.get(), (std::vector<unsigned>{0u, ~0u, 0u, 4u}));
  EXPECT_EQ(sum.get()[0], 32.f);
}

__global__ void cluster_ranks(unsigned* out) {
  if (threadIdx.x == 0) out[blockIdx.x] = cluster_rank() + 10 * cluster_size() + 100 * cluster_id();
  cg::this_cluster().sync();
}

TEST_F(Execution, ClusterRanks) {
  Array<unsigned> out(8);
  launch(cluster_ranks, {.grid = 8, .block = 32, .cluster = 4}, out.data());
  EXPECT_EQ(compare(out, 8, [](int i) { return i % 4 + 40 + 100 * (i / 4); }), "");
  launch(cluster_ranks, {.grid = 8, .block = 32}, out.data());
  EXPECT_EQ(compare(out, 8, [](int i) { return 10 + 100 * i; }), "");
}

__global__ void integers(unsigned* out) {
  out[0] = __brev(1u);
  out[1] = __umulhi(0x80000000u, 6u);
  out[2] = __funnelshift_l(0x80000000u, 1u, 1);
  out[3] = __funnelshift_r(1u, 2u, 1);
  out[4] = __byte_perm(0x33221100u, 0x77665544u, 0x7410u);
  out[5] = static_cast<unsigned>(__clz(1) + __popc(0xff0u) + __ffs(8));
}

TEST_F(Execution, IntegerFunctions) {
  Array<unsigned> out(6);
  launch(integers, {.grid = 1, .block = 1}, out.data());
  finish();
  EXPECT_EQ(out.get(), (std::vector<unsigned>{0x80000000u, 3u, 3u, 0u, 0x77441100u, 31u + 8u + 4u}));
}

__global__ void tickets(int* out, int* counter) {
  for (int i = 0; i < 3; ++i) {
    out[(blockIdx.x * blockDim.x + threadIdx.x) * 3 + i] = atomicAdd(counter, 1);
    __syncwarp();
  }
}

std::vector<int> draw_tickets(std::uint64_t seed) {
  emulator::options().order = emulator::Order::random;
  emulator::options().seed = seed;
  Array<int> out(64 * 3), counter(1, 0);
  launch(tickets, {.grid = 2, .block = 32}, out.data(), counter.data());
  finish();
  return out.get();
}

TEST_F(Execution, SeedDecidesTheOrder) {
  // The order depends on the seed and on how many grids ran before.
  const auto restart = [] { emulator::stats() = {}; };
  restart();
  const auto first = draw_tickets(1);
  restart();
  EXPECT_EQ(draw_tickets(1), first);
  restart();
  EXPECT_NE(draw_tickets(2), first);
}

__global__ void stop_in_the_middle(int* out) {
  out[blockIdx.x * blockDim.x + threadIdx.x] = 1;
  if (blockIdx.x == 1 && threadIdx.x == 35) __trap();
}

TEST_F(Execution, ReportNamesBlockThreadAndLine) {
  emulator::options().quiet = true;
  Array<int> out(128);
  launch(stop_in_the_middle, {.grid = 1, .block = 64}, out.data());
  EXPECT_EQ(compare(out, 64, [](int) { return 1; }), "");
  launch(stop_in_the_middle, {.grid = 2, .block = 64}, out.data());
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);  // sticky
  const std::string text = emulator::last_error();
  for (const char* part : {"__trap() at", "execution_test.cu", "block (1,0,0) thread (35,0,0), warp 1 lane 3"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
  EXPECT_THROW(launch(stop_in_the_middle, {.grid = 1, .block = 64}, out.data()), CudaError);
}

__global__ void scans(const int* in, int* out) {
  out[threadIdx.x] = block_inclusive_scan(in[threadIdx.x], Sum{});
  out[blockDim.x + threadIdx.x] = block_max(in[threadIdx.x]);
  out[2 * blockDim.x + threadIdx.x] = block_sum(in[threadIdx.x]);
}

TEST_F(Execution, BlockReductionsAndScans) {
  for (const int threads : {32, 64, 96, 1024}) {
    std::vector<int> values(static_cast<std::size_t>(threads));
    for (int i = 0; i < threads; ++i) values[i] = (i * 37) % 101 - 60;
    Array<int> in(values), out(3 * values.size());
    launch(scans, {.grid = 1, .block = static_cast<unsigned>(threads)}, in.data(), out.data());
    const int most = *std::max_element(values.begin(), values.end());
    std::partial_sum(values.begin(), values.end(), values.begin());
    EXPECT_EQ(compare(out, 3 * values.size(),
                      [&](int i) { return i < threads       ? values[i]
                                          : i < 2 * threads ? most
                                                            : values.back(); }),
              "")
        << threads << " threads";
  }
}

// Products of 16x16 by 16x8 (bf16) and 16x8 by 8x8 (tf32), from row-major matrices.
__global__ void tensor_products(const float* a, const float* b, float* out, int k) {
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = lane % 4;
  float d[4] = {1, 1, 1, 1};
  std::uint32_t fragment[4];
  if (k == 16) {
    for (int i = 0; i < 4; ++i) {
      const float* at = a + (g + i % 2 * 8) * 16 + 2 * t + i / 2 * 8;
      fragment[i] = pack_bf16x2(at[0], at[1]);
    }
    const auto column = [&](int row) { return pack_bf16x2(b[row * 8 + g], b[(row + 1) * 8 + g]); };
    mma_m16n8k16_bf16(d, fragment, column(2 * t), column(2 * t + 8));
  } else {
    for (int i = 0; i < 4; ++i) fragment[i] = to_tf32(a[(g + i % 2 * 8) * 8 + t + i / 2 * 4]);
    mma_m16n8k8_tf32(d, fragment, to_tf32(b[t * 8 + g]), to_tf32(b[(t + 4) * 8 + g]));
  }
  for (int i = 0; i < 4; ++i) out[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = d[i];
}

TEST_F(Execution, TensorCoreProducts) {
  for (const int k : {8, 16}) {
    std::vector<float> a(16 * k), b(k * 8);
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<float>(i % 13) / 8 - 0.75f;  // exact in bf16
    for (std::size_t i = 0; i < b.size(); ++i) b[i] = static_cast<float>(i % 7) / 4 - 0.5f;
    Array<float> da(a), db(b), out(16 * 8);
    launch(tensor_products, {.grid = 1, .block = 32}, da.data(), db.data(), out.data(), k);
    EXPECT_EQ(compare(out, 16 * 8,
                      [&](int i) {
                        double sum = 1;
                        for (int j = 0; j < k; ++j) sum += double{a[i / 8 * k + j]} * b[j * 8 + i % 8];
                        return sum;
                      }),
              "");
  }
}

__global__ void transposed(std::uint32_t* out) {
  const unsigned row = threadIdx.x / 4, column = 2 * (threadIdx.x % 4);
  out[threadIdx.x] = movmatrix_trans((row * 8 + column) | (row * 8 + column + 1) << 16);
}

TEST_F(Execution, MatrixTranspose) {
  Array<std::uint32_t> out(32);
  launch(transposed, {.grid = 1, .block = 32}, out.data());
  EXPECT_EQ(compare(out, 32,
                    [](int lane) {
                      const unsigned row = lane / 4, column = 2 * (lane % 4);
                      return (column * 8 + row) | ((column + 1) * 8 + row) << 16;
                    }),
            "");
}

TEST_F(Execution, RoundsTo16And19Bits) {
  EXPECT_EQ(pack_bf16x2(1.f, -2.f), 0xc0003f80u);
  EXPECT_EQ(pack_bf16x2(1.00390625f, 1.01171875f), 0x3f823f80u);  // ties go to even
  EXPECT_EQ(pack_bf16x2(NAN, INFINITY), 0x7f807fffu);
  EXPECT_EQ(bf16_low(0xc0003f80u), 1.f);
  EXPECT_EQ(bf16_high(0xc0003f80u), -2.f);
  EXPECT_EQ(to_tf32(1.f + 0x1p-11f), 0x3f802000u);  // a tie goes away from zero
  EXPECT_EQ(to_tf32(-INFINITY), 0xff800000u);
}

__global__ void report_time(long long* out) {
  const long long before = clock64();
  __syncwarp();
  out[0] = clock64() - before;
  if (threadIdx.x == 0) printf("a kernel prints\n");
}

TEST_F(Execution, ClockAndPrint) {
  Array<long long> out(1, 0ll);
  testing::internal::CaptureStdout();
  launch(report_time, {.grid = 1, .block = 1}, out.data());
  EXPECT_NE(cudaDeviceSynchronize(), cudaSuccess) << "a block of one thread has no full warp";
  emulator::reset();
  testing::internal::GetCapturedStdout();
  Array<long long> time(1, 0ll);
  testing::internal::CaptureStdout();
  emulator::options().strict = false;
  launch(report_time, {.grid = 1, .block = 1}, time.data());
  finish();
  std::fflush(stdout);
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "a kernel prints\n");
  EXPECT_GT(time.get()[0], 0);
}

}  // namespace
}  // namespace seqgpu::tests
