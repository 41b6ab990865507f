#include "emulator/faults.hpp"
#include "kernels/block/ptx.cuh"

// Memory that is out of bounds, gone, uninitialised, misaligned, the host's, or written by two threads at once.

namespace seqgpu::tests {
namespace {

using namespace kernels;

struct First;
struct Second;

__global__ void write_beyond(float* out, int count) { out[threadIdx.x + count - 31] = 1; }
__global__ void read_beyond(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x + 1]; }

__global__ void static_beyond(float* out, int offset) {
  auto& s = shared<float[32]>();
  s[threadIdx.x] = 1;
  __syncthreads();
  const float* first = s;
  out[threadIdx.x] = first[threadIdx.x + offset];
}

__global__ void dynamic_beyond(float* out, int offset) {
  float* s = dynamic_shared<float>();
  s[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x + offset];
}

__global__ void overrun(float* out) {
  auto& a = shared<float[16], First>();
  auto& b = shared<float[16], Second>();
  float* first = a;
  first[threadIdx.x] = 1;  // 32 threads
  b[threadIdx.x % 16] = 2;
  __syncthreads();
  out[threadIdx.x] = a[threadIdx.x % 16];
}

__global__ void copy(const float* in, float* out) { out[threadIdx.x] = in[threadIdx.x] > 0 ? 1.f : 2.f; }

__global__ void uninitialised_shared(float* out) {
  auto& s = shared<float[32]>();
  if (threadIdx.x < 31) s[threadIdx.x] = 1;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x];
}

__global__ void local_beyond(float* out, int index) {
  float local[4];
  for (int i = 0; i < 4; ++i) local[i] = static_cast<float>(i);
  out[threadIdx.x] = local[index % 8];
}

__global__ void bad_shift(int* out, int by) { out[threadIdx.x] = 1 << by; }

__global__ void write_all(float* p) { p[threadIdx.x] = 1; }

__global__ void misaligned(const char* bytes, float* out) {
  out[threadIdx.x] = *reinterpret_cast<const float*>(bytes + 2);
}

__global__ void all_write_one(float* out) { out[0] = static_cast<float>(blockIdx.x); }

__global__ void increment(int* count) {
  const int value = *count;
  *count = value + 1;
}

__global__ void plain_read_of_atomic(unsigned* flag, float* out) {
  if (blockIdx.x == 0)
    atomicAdd(flag, 1u);
  else
    out[0] = static_cast<float>(*flag);
}

__global__ void wrong_rank(float* out) {
  auto& s = shared<float[32]>();
  s[threadIdx.x] = 0;
  cluster_sync();
  out[threadIdx.x] = map_shared(&s[0], 7)[threadIdx.x];
  cluster_sync();
}

__global__ void peer_not_started(float* out) {
  auto& s = shared<float[32]>();
  map_shared(&s[0], cluster_rank() ^ 1)[threadIdx.x] = 1;
  cluster_sync();
  out[threadIdx.x] = s[threadIdx.x];
}

__global__ void peer_has_left(float* out) {
  auto& s = shared<float[32]>();
  s[threadIdx.x] = 0;
  cluster_sync();
  if (cluster_rank() == 0) return;
  for (int i = 0; i < 100; ++i) spin_pause();
  map_shared(&s[0], 0)[threadIdx.x] = 1;
  out[threadIdx.x] = 1;
}

struct Padded {
  float value;
  char tag;
};
__global__ void copy_padded(float* out) {
  auto& s = shared<Padded[32]>();
  s[threadIdx.x].value = static_cast<float>(threadIdx.x);
  s[threadIdx.x].tag = 1;
  __syncthreads();
  const Padded mine = s[31 - threadIdx.x];
  out[threadIdx.x] = mine.value + static_cast<float>(mine.tag);
}

template <class... P, class... A>
std::string run_one(void (*kernel)(P...), A... args) {
  Array<float> out(32, 0.f);
  launch(kernel, {.grid = 1, .block = 32, .shared_bytes = 128}, out.data(), args...);
  return compare(out, 32, [](int) { return 1; });
}

std::string run_pair(void (*kernel)(float*)) {
  Array<float> out(32, 0.f);
  launch(kernel, {.grid = 2, .block = 32, .cluster = 2}, out.data());
  return compare(out, 32, [](int) { return 1; });
}

}  // namespace

std::vector<Fault> memory_faults() {
  return {
      {.name = "write_out_of_bounds",
       .run = [] { return run_one(write_beyond, 32); },
       .asan = "heap-buffer-overflow",
       .check = "write out of bounds of 4 bytes at memory_faults.cu:[0-9]+.*allocation of 128 bytes, byte 128"},
      {.name = "read_out_of_bounds",
       .run =
           [] {
             Array<float> in(32, 1.f), out(32, 0.f);
             launch(read_beyond, {.grid = 1, .block = 32}, in.data(), out.data());
             return compare(out, 31, [](int) { return 1; });
           },
       .asan = "heap-buffer-overflow",
       .check = "read out of bounds.*byte 128"},
      {.name = "static_shared_out_of_bounds",
       .run = [] { return run_one(static_beyond, 1); },
       .asan = "use-after-poison",
       .check = "read out of bounds.*static shared memory of block .0,0,0."},
      {.name = "dynamic_shared_out_of_bounds",
       .run = [] { return run_one(dynamic_beyond, 1); },
       .asan = "use-after-poison",
       .check = "read out of bounds.*dynamic shared memory.*byte 128"},
      {.name = "shared_array_overruns_into_the_next",
       .run = [] { return run_one(overrun); },
       .asan = "use-after-poison",
       .check = "write out of bounds"},
      {.name = "use_after_free",
       .run =
           [] {
             Array<float> in(32, 1.f), out(32, 0.f);
             const float* stale = in.data();
             in.free();
             launch(copy, {.grid = 1, .block = 32}, stale, out.data());
             return compare(out, 32, [](int) { return 1; });
           },
       .asan = "heap-use-after-free",
       .check = "out of bounds.*freed allocation"},
      {.name = "local_array_out_of_bounds",
       .run = [] { return run_one(local_beyond, 5); },
       .asan = "index 5 out of bounds|stack-buffer-overflow"},
      {.name = "shift_too_far",
       .run =
           [] {
             Array<int> out(32, 0);
             launch(bad_shift, {.grid = 1, .block = 32}, out.data(), 33);
             finish();
             return std::string();
           },
       .asan = "shift exponent 33"},
      {.name = "uninitialised_shared", .run = [] { return run_one(uninitialised_shared); }, .check = "uninitialised"},
      {.name = "uninitialised_global",
       .run =
           [] {
             Array<float> in(32), out(32, 0.f);
             launch(copy, {.grid = 1, .block = 32}, in.data(), out.data());
             finish();
             return std::string();
           },
       .check = "uninitialised.*allocation of 128 bytes, byte 0"},
      {.name = "host_pointer",
       .run =
           [] {
             std::vector<float> host(32, 0.f);
             launch(write_all, {.grid = 1, .block = 32}, host.data());
             finish();
             return std::string();
           },
       .check = "write to host memory of 4 bytes at memory_faults.cu"},
      {.name = "misaligned",
       .run =
           [] {
             Array<float> data(32, 1.f);
             launch(misaligned, {.grid = 1, .block = 1}, reinterpret_cast<const char*>(data.data()), data.data());
             finish();
             return std::string();
           },
       .check = "misaligned access"},
      {.name = "two_blocks_write_one_word",
       .run =
           [] {
             Array<float> out(1, 0.f);
             launch(all_write_one, {.grid = 2, .block = 1}, out.data());
             finish();
             return std::string();
           },
       .check = "race: write after write.*memory_faults.cu:[0-9]+.*block .0,0,0. thread .0,0,0. at memory_faults.cu"},
      {.name = "increment_without_atomic",
       .run =
           [] {
             Array<int> count(1, 0);
             launch(increment, {.grid = 2, .block = 32}, count.data());
             return compare(count, 1, [](int) { return 64; });
           },
       .check = "race"},
      {.name = "plain_read_beside_an_atomic",
       .run =
           [] {
             Array<unsigned> flag(1, 0u);
             Array<float> out(1, 0.f);
             launch(plain_read_of_atomic, {.grid = 2, .block = 1}, flag.data(), out.data());
             finish();
             return std::string();
           },
       .check = "race"},
      {.name = "rank_outside_the_cluster",
       .run = [] { return run_pair(wrong_rank); },
       .every_order = "rank 7 in a cluster of 2 blocks",
       .check = "rank 7"},
      {.name = "peer_has_not_started",
       .run = [] { return run_pair(peer_not_started); },
       .asan = "use-after-poison",
       .check = "write out of bounds.*which has not started"},
      {.name = "peer_has_left",
       .run = [] { return run_pair(peer_has_left); },
       .asan = "use-after-poison",
       .check = "write out of bounds.*which has exited"},
  };
}

std::vector<Control> memory_controls() {
  return {{"struct_with_padding", [] {
             Array<float> out(32, 0.f);
             launch(copy_padded, {.grid = 1, .block = 32}, out.data());
             return compare(out, 32, [](int i) { return 32 - i; });
           }}};
}

}  // namespace seqgpu::tests
