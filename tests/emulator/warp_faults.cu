#include "emulator/faults.hpp"
#include "kernels/block/ptx.cuh"
#include "kernels/block/reduce.cuh"

// Warp collectives that not all lanes of the mask reach, or that meet another one.

namespace seqgpu::tests {
namespace {

using namespace kernels;

__global__ void half_warp(float* out) {
  float value = 1;
  if (threadIdx.x < 16) value = __shfl_down_sync(kFullMask, value, 1);
  out[threadIdx.x] = value;
}

__global__ void two_shuffles_meet(float* out) {
  float value = 1;
  if (threadIdx.x < 16)
    value = __shfl_xor_sync(kFullMask, value, 1);
  else
    value = __shfl_xor_sync(kFullMask, value, 2);
  out[threadIdx.x] = value;
}

__global__ void lanes_have_exited(float* out, int count) {
  if (static_cast<int>(threadIdx.x) >= count) return;
  out[threadIdx.x] = warp_max(1.f);
}

__global__ void not_in_its_mask(float* out) { out[threadIdx.x] = __shfl_sync(0xffffu, 1.f, 0); }

__global__ void masks_overlap(float* out) {
  const unsigned mask = threadIdx.x < 16 ? 0x1ffffu : 0xffff0000u;
  __syncwarp(mask);
  out[threadIdx.x] = 1;
}

__global__ void source_outside_the_mask(float* out) {
  const unsigned mask = threadIdx.x < 16 ? 0xffffu : 0xffff0000u;
  out[threadIdx.x] = __shfl_xor_sync(mask, 1.f, 16);
}

__global__ void short_warp(float* out) { out[threadIdx.x] = warp_max(1.f); }

// Sums of each half warp, then of its quarters, through shared memory: masks that nest.
__global__ void halves_and_quarters(float* out) {
  auto& s = shared<float[32]>();
  const unsigned lane = threadIdx.x;
  const unsigned half = lane < 16 ? 0xffffu : 0xffff0000u, quarter = 0xffu << (lane / 8 * 8);
  s[lane] = 1;
  __syncwarp(half);
  float sum = 0;
  for (unsigned i = 0; i < 16; ++i) sum += s[lane / 16 * 16 + i];
  __syncwarp(half);
  s[lane] = sum;
  __syncwarp(quarter);
  sum = 0;
  for (unsigned i = 0; i < 8; ++i) sum += s[lane / 8 * 8 + i];
  out[lane] = sum;
}

__global__ void sums_and_scans(float* out) {
  const float before = block_inclusive_scan(1.f, Sum{});
  out[threadIdx.x] = block_sum(1.f) + before + block_max(before);
}

std::string run_one(void (*kernel)(float*), unsigned threads = 32) {
  Array<float> out(32, 0.f);
  launch(kernel, {.grid = 1, .block = threads}, out.data());
  return compare(out, threads, [](int) { return 1; });
}

}  // namespace

std::vector<Fault> warp_faults() {
  return {
      {.name = "half_a_warp_shuffles",
       .run = [] { return run_one(half_warp); },
       .every_order = "exited.*__shfl_down_sync|__shfl_down_sync.*exited",
       .check = "__shfl_down_sync"},
      {.name = "two_shuffles_meet",
       .run = [] { return run_one(two_shuffles_meet); },
       .every_order = "divergent warp: __shfl_xor_sync at .*warp_faults.cu:[0-9]+:[0-9]+ meets __shfl_xor_sync at",
       .check = "divergent warp"},
      {.name = "lanes_have_exited",
       .run =
           [] {
             Array<float> out(32, 0.f);
             launch(lanes_have_exited, {.grid = 1, .block = 32}, out.data(), 20);
             return compare(out, 20, [](int) { return 1; });
           },
       .every_order = "exited",
       .check = "exited"},
      {.name = "lane_outside_its_mask",
       .run = [] { return run_one(not_in_its_mask); },
       .every_order = "not in its mask",
       .check = "not in its mask"},
      {.name = "masks_overlap",
       .run = [] { return run_one(masks_overlap); },
       .every_order = "exited while its warp waits|lanes that exited",
       .check = "exited"},
      {.name = "shuffle_from_outside_the_mask",
       .run = [] { return run_one(source_outside_the_mask); },
       .every_order = "not in the mask",
       .check = "not in the mask"},
      {.name = "full_mask_in_a_short_warp",
       .run = [] { return run_one(short_warp, 16); },
       .every_order = "do not exist",
       .check = "do not exist"},
  };
}

std::vector<Control> warp_controls() {
  return {
      {"nested_masks",
       [] {
         Array<float> out(32, 0.f);
         launch(halves_and_quarters, {.grid = 1, .block = 32}, out.data());
         return compare(out, 32, [](int) { return 128; });
       }},
      {"sums_and_scans",
       [] {
         Array<float> out(128, 0.f);
         launch(sums_and_scans, {.grid = 1, .block = 128}, out.data());
         return compare(out, 128, [](int i) { return 128 + i + 1 + 128; });
       }},
  };
}

}  // namespace seqgpu::tests
