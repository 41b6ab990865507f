#include "emulator/faults.hpp"
#include "kernels/block/ptx.cuh"

// Asynchronous copies that are read before they arrive, or that nobody waits for.

namespace seqgpu::tests {
namespace {

using namespace kernels;

// Sums rows of 32, copying one row ahead. Correct with in_flight = 1; with 2 the last wait is too short.
template <int InFlight>
__global__ void row_sums(const float* in, float* out, int rows) {
  auto& s = shared<float[2][32]>();
  const unsigned lane = threadIdx.x;
  cp_async_4(&s[0][lane], in + lane);
  cp_async_commit();
  float sum = 0;
  for (int row = 0; row < rows; ++row) {
    if (row + 1 < rows) cp_async_4(&s[(row + 1) % 2][lane], in + (row + 1) * 32 + lane);
    cp_async_commit();
    cp_async_wait<InFlight>();
    __syncthreads();
    sum += s[row % 2][31 - lane];
    __syncthreads();
  }
  cp_async_wait<0>();
  out[lane] = sum;
}
template <int InFlight>
std::string run_rows() {
  Array<float> in(4 * 32, 1.f), out(32, 0.f);
  launch(row_sums<InFlight>, {.grid = 1, .block = 32}, in.data(), out.data(), 4);
  return compare(out, 32, [](int) { return 4; });
}

__global__ void never_waited(const float* in, float* out) {
  auto& s = shared<float[32]>();
  cp_async_4(&s[threadIdx.x], in + threadIdx.x);
  cp_async_commit();
  out[threadIdx.x] = 1;
}

__global__ void no_barrier_after_the_wait(const float* in, float* out) {
  auto& s = shared<float[64]>();
  cp_async_4(&s[threadIdx.x], in + threadIdx.x);
  cp_async_commit();
  cp_async_wait<0>();
  out[threadIdx.x] = s[63 - threadIdx.x];
}

// Every block sends its rank to the next one, which waits (or does not) for it.
enum class Broken { nothing, wait, expected_bytes, initialisation };
__global__ void send(float* out, Broken broken) {
  auto& barrier = shared<std::uint64_t>();
  auto& inbox = shared<float[32]>();
  if (threadIdx.x == 0 && broken != Broken::initialisation) {
    mbarrier_init(&barrier, 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(&barrier, broken == Broken::expected_bytes ? 256 : 128);
  }
  cluster_sync();
  const unsigned peer = (cluster_rank() + 1) % cluster_size();
  store_async_4(map_shared(&inbox[0], peer) + threadIdx.x, static_cast<float>(cluster_rank()),
                map_shared(&barrier, peer));
  if (broken != Broken::wait) mbarrier_wait_parity(&barrier, 0);
  out[blockIdx.x * 32 + threadIdx.x] = inbox[threadIdx.x];
  mbarrier_wait_parity(&barrier, 0);
  cluster_sync();
}
std::string run_send(Broken broken) {
  Array<float> out(64, 0.f);
  launch(send, {.grid = 2, .block = 32, .cluster = 2}, out.data(), broken);
  return compare(out, 64, [](int i) { return 1 - i / 32; });
}

// A persistent cluster: in each step every block sends its 64 values to every block, which adds up the four. Two slots,
// each with an mbarrier; a slot is free again when the step after it has arrived, for whoever sent that has read it.
__global__ void exchange(float* out, int steps) {
  auto& barriers = shared<std::uint64_t[2]>();
  auto& inbox = shared<float[2][4][64]>();
  const unsigned i = threadIdx.x;
  constexpr unsigned kBytes = 4 * 64 * sizeof(float);
  if (i == 0) {
    mbarrier_init(&barriers[0], 1);
    mbarrier_init(&barriers[1], 1);
    fence_mbarrier_init();
    mbarrier_arrive_expect_tx(&barriers[0], kBytes);
    mbarrier_arrive_expect_tx(&barriers[1], kBytes);
  }
  cluster_sync();
  float value = 1;
  for (int t = 0; t < steps; ++t) {
    const unsigned slot = t % 2, parity = t / 2 % 2;
    for (unsigned peer = 0; peer < 4; ++peer)
      store_async_4(map_shared(&inbox[slot][cluster_rank()][0], peer) + i, value, map_shared(&barriers[slot], peer));
    mbarrier_wait_parity(&barriers[slot], parity);
    value = 0;
    for (unsigned peer = 0; peer < 4; ++peer) value += inbox[slot][peer][63 - i];
    __syncthreads();  // all have read the slot, and waited, before thread 0 opens its next phase
    if (i == 0 && t + 2 < steps) mbarrier_arrive_expect_tx(&barriers[slot], kBytes);
  }
  out[blockIdx.x * 64 + i] = value;
  cluster_sync();
}

// Warp 0 hands rows to warp 1 through an mbarrier, and gets the slot back through another.
__global__ void handed_over(float* out, int rows) {
  auto& barriers = shared<std::uint64_t[2]>();
  auto& row_values = shared<float[32]>();
  const unsigned lane = threadIdx.x % 32;
  if (threadIdx.x == 0) {
    mbarrier_init(&barriers[0], 32);
    mbarrier_init(&barriers[1], 32);
  }
  __syncthreads();
  float sum = 0;
  for (int row = 0; row < rows; ++row) {
    if (threadIdx.x < 32) {
      if (row > 0) mbarrier_wait_parity(&barriers[1], (row - 1) % 2);
      row_values[lane] = static_cast<float>(row);
      mbarrier_arrive(&barriers[0]);
    } else {
      mbarrier_wait_parity(&barriers[0], row % 2);
      sum += row_values[31 - lane];
      mbarrier_arrive(&barriers[1]);
    }
  }
  if (threadIdx.x >= 32) out[lane] = sum;
}

}  // namespace

std::vector<Fault> async_faults() {
  return {
      {.name = "copy_read_before_its_wait",
       .run = [] { return run_rows<2>(); },
       .every_order = "wrong result",
       .check = "uninitialised or still on its way.*async_faults.cu"},
      {.name = "copy_never_waited_for",
       .run =
           [] {
             Array<float> in(32, 1.f), out(32, 0.f);
             launch(never_waited, {.grid = 1, .block = 32}, in.data(), out.data());
             finish();
             return std::string();
           },
       .every_order = "copies in flight",
       .check = "copies in flight"},
      {.name = "no_barrier_after_the_wait",
       .run =
           [] {
             Array<float> in(64, 1.f), out(64, 0.f);
             launch(no_barrier_after_the_wait, {.grid = 1, .block = 64}, in.data(), out.data());
             return compare(out, 64, [](int) { return 1; });
           },
       .every_order = "wrong result",
       .check = "uninitialised"},
      {.name = "store_read_before_its_wait",
       .run = [] { return run_send(Broken::wait); },
       .every_order = "wrong result",
       .check = "uninitialised or still on its way|race"},
      {.name = "more_bytes_expected_than_sent",
       .run = [] { return run_send(Broken::expected_bytes); },
       .every_order = "deadlock.*\n.*wait in an mbarrier at .*async_faults.cu",
       .check = "deadlock"},
      {.name = "mbarrier_without_initialisation",
       .run = [] { return run_send(Broken::initialisation); },
       .every_order = "mbarrier was not initialised",
       .check = "not initialised"},
  };
}

std::vector<Control> async_controls() {
  return {
      {"copies_one_row_ahead", [] { return run_rows<1>(); }},
      {"copies_in_order", [] { return run_rows<0>(); }},
      {"store_to_a_peer", [] { return run_send(Broken::nothing); }},
      {"exchange_without_cluster_barriers",
       [] {
         Array<float> out(4 * 64, 0.f);
         launch(exchange, {.grid = 4, .block = 64, .cluster = 4}, out.data(), 9);
         return compare(out, 4 * 64, [](int) { return 262144; });  // 4^9
       }},
      {"mbarrier_between_warps",
       [] {
         Array<float> out(32, 0.f);
         launch(handed_over, {.grid = 1, .block = 64}, out.data(), 5);
         return compare(out, 32, [](int) { return 10; });
       }},
  };
}

}  // namespace seqgpu::tests
