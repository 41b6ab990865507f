#pragma once

#include "kernels/block/elements.cuh"
#include "kernels/block/fault.cuh"
#include "kernels/block/reduce.cuh"
#include "kernels/gather/launch.hpp"

// The gradient of a table: dtable[v] = sum of dy[i] over the i with ids[i] == v, in a fixed order and without atomics.
//
// Positions are sorted by id (radix sort, 8 bits a pass, stable: two passes up to V = 65536), which puts the positions
// of one id beside each other in their own order; then each run is summed. A frequent id (padding, "the") has a run of
// thousands: such runs are shared by the warps of a block. Against a block for each row of the table that looks through
// all ids, which reads V * count ids (a billion for V = 50k, count = 20k), this reads some 10 * count and the gradients
// once; what remains is writing the zeros of dtable.
//   work    sort: a block per tile of 1024 ids; sums: a warp per position, idle unless a run begins there
//   memory  ids and positions twice per pass; dy once; dtable once or twice (zeros first)
//   limits  count and V < 2^31, as ids and positions are sorted as 32-bit numbers
namespace seqgpu::kernels {

inline constexpr int kDigits = 256, kItems = 4, kTile = kItems * kElementThreads, kWarps = kElementThreads / 32;
inline constexpr int kScanThreads = 1024, kScanItems = 8;
inline constexpr int kShortRun = 32;  // a warp alone sums a run of up to this

struct SortPass {
  const std::int32_t* ids;        // [count] in this pass's order
  const std::int32_t* positions;  // [count], null in the first pass: 0, 1, 2, ..
  std::int32_t* next_ids;         // [count]
  std::int32_t* next_positions;   // [count]
  std::int32_t* offsets;          // [kDigits, tiles]
  std::int64_t count, V;
  int shift;
  FaultSink faults;
};

/// An id as it is sorted: those outside the table go last, as V.
__device__ inline std::int32_t sort_key(const SortPass& p, std::int64_t i) {
  const std::int32_t id = p.ids[i];
  return id < 0 || id >= p.V ? static_cast<std::int32_t>(p.V) : id;
}

/// offsets[digit, tile] = how many ids of the tile have the digit.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) count_digits_kernel(SortPass p) {
  auto& counts = shared<int[kDigits]>();
  counts[threadIdx.x] = 0;
  __syncthreads();
  for (int item = 0; item < kItems; ++item) {
    const std::int64_t i = std::int64_t{blockIdx.x} * kTile + item * kElementThreads + threadIdx.x;
    if (i >= p.count) continue;
    const std::int32_t key = sort_key(p, i);
    atomicAdd(&counts[key >> p.shift & (kDigits - 1)], 1);
    if (key == p.V && !p.positions) report_fault(p.faults, FaultyArgument::values, i, p.ids[i]);
  }
  __syncthreads();
  p.offsets[std::int64_t{threadIdx.x} * gridDim.x + blockIdx.x] = counts[threadIdx.x];
}

/// Exclusive sums of offsets [size] in place; one block.
__global__ void __launch_bounds__(kScanThreads) scan_offsets_kernel(std::int32_t* offsets, std::int64_t size) {
  auto& last = shared<int>();
  int before = 0;
  for (std::int64_t base = 0; base < size; base += kScanThreads * kScanItems) {
    const std::int64_t first = base + threadIdx.x * kScanItems;
    int values[kScanItems], own = 0;
#pragma unroll
    for (int k = 0; k < kScanItems; ++k) {
      values[k] = first + k < size ? offsets[first + k] : 0;
      own += values[k];
    }
    const int upto = block_inclusive_scan(own, Sum{});
    int sum = before + upto - own;
#pragma unroll
    for (int k = 0; k < kScanItems; ++k) {
      if (first + k < size) offsets[first + k] = sum;
      sum += values[k];
    }
    if (threadIdx.x == kScanThreads - 1) last = upto;
    __syncthreads();
    before += last;
    __syncthreads();  // before `last` is written again
  }
}

/// Lanes of the warp whose digit is this lane's. `digit` < 2 * kDigits.
__device__ inline unsigned lanes_with(int digit) {
  unsigned same = kFullMask;
  for (int bit = 1; bit < 2 * kDigits; bit *= 2) {
    const unsigned set = __ballot_sync(kFullMask, (digit & bit) != 0);
    same &= digit & bit ? set : ~set;
  }
  return same;
}

/// Puts each id and position where the sums say, in order. A warp takes 128 ids one after the other.
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) place_digits_kernel(SortPass p) {
  auto& seen = shared<int[kWarps][kDigits]>();  // ids with the digit that the warp has met; then where they begin
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (int w = 0; w < kWarps; ++w) seen[w][threadIdx.x] = 0;
  __syncthreads();
  std::int32_t keys[kItems];
  int ranks[kItems];
  const std::int64_t first = std::int64_t{blockIdx.x} * kTile + warp * (kTile / kWarps) + lane;
#pragma unroll
  for (int item = 0; item < kItems; ++item) {
    const std::int64_t i = first + item * 32;
    keys[item] = i < p.count ? sort_key(p, i) : 0;
    const int digit = i < p.count ? keys[item] >> p.shift & (kDigits - 1) : kDigits;  // kDigits: none
    const unsigned same = lanes_with(digit);
    const int met = digit < kDigits ? seen[warp][digit] : 0;
    ranks[item] = met + __popc(same & ((1u << lane) - 1));
    __syncwarp();
    if (digit < kDigits && lane == 31u - __clz(same)) seen[warp][digit] = ranks[item] + 1;
    __syncwarp();
  }
  __syncthreads();
  int begin = p.offsets[std::int64_t{threadIdx.x} * gridDim.x + blockIdx.x];
  for (int w = 0; w < kWarps; ++w) {
    const int count = seen[w][threadIdx.x];
    seen[w][threadIdx.x] = begin;
    begin += count;
  }
  __syncthreads();
#pragma unroll
  for (int item = 0; item < kItems; ++item) {
    const std::int64_t i = first + item * 32;
    if (i >= p.count) continue;
    const int to = seen[warp][keys[item] >> p.shift & (kDigits - 1)] + ranks[item];
    p.next_ids[to] = keys[item];
    p.next_positions[to] = p.positions ? p.positions[i] : static_cast<std::int32_t>(i);
  }
}

struct SumRuns {
  const std::int32_t* ids;        // [count], sorted
  const std::int32_t* positions;  // [count]
  const float* dy;                // [count, E]
  float* dtable;                  // [V, E]
  std::int64_t V, E, count;
};

/// Where the run that begins at `begin` ends: a search by the whole warp, first among the next 32 places.
__device__ inline std::int64_t end_of_run(const SumRuns& p, std::int64_t begin, unsigned lane) {
  const std::int32_t id = p.ids[begin];
  std::int64_t low = begin + 1, high = p.count;  // the end is in [low, high]
  for (std::int64_t step = 1; low < high; step = (high - low + 31) / 32) {
    const std::int64_t at = low + step * lane;
    const unsigned others = __ballot_sync(kFullMask, at >= high || p.ids[at] != id);
    const int inside = others ? __ffs(static_cast<int>(others)) - 1 : 32;  // places still in the run
    const std::int64_t beyond = low + step * inside;
    if (inside < 32 && beyond < high) high = beyond;
    if (inside > 0) low = beyond - step + 1;
  }
  return low;
}

/// The sum over dy[positions[i], column] for i = begin, begin + step, .. < end.
__device__ inline float sum_of_run(const SumRuns& p, std::int64_t begin, std::int64_t end, int step,
                                   std::int64_t column) {
  float sum = 0.f;
#pragma unroll 4
  for (std::int64_t i = begin; i < end; i += step) sum += p.dy[p.positions[i] * p.E + column];
  return sum;
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) sum_runs_kernel(SumRuns p) {
  auto& ends = shared<std::int64_t[kWarps]>();  // of a long run that begins at the warp's position; else 0
  auto& parts = shared<float[kWarps][32]>();
  const unsigned lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  for (std::int64_t base = std::int64_t{blockIdx.x} * kWarps; base < p.count;
       base += std::int64_t{gridDim.x} * kWarps) {
    const std::int64_t begin = base + warp;
    std::int64_t end = 0;
    const bool head = begin < p.count && p.ids[begin] < p.V && (begin == 0 || p.ids[begin - 1] != p.ids[begin]);
    if (head) end = end_of_run(p, begin, lane);
    const bool is_long = end - begin > kShortRun;
    if (head && !is_long) {
      float* row = p.dtable + p.ids[begin] * p.E;
      for (std::int64_t column = lane; column < p.E; column += 32) row[column] = sum_of_run(p, begin, end, 1, column);
    }
    if (lane == 0) ends[warp] = is_long ? end : 0;
    __syncthreads();
    for (int w = 0; w < kWarps; ++w) {
      if (ends[w] == 0) continue;
      float* row = p.dtable + p.ids[base + w] * p.E;
      for (std::int64_t first = 0; first < p.E; first += 32) {
        const std::int64_t column = first + lane;
        parts[warp][lane] = column < p.E ? sum_of_run(p, base + w + warp, ends[w], kWarps, column) : 0.f;
        __syncthreads();
        if (warp == 0 && column < p.E) {
          float sum = 0.f;
          for (int part = 0; part < kWarps; ++part) sum += parts[part][lane];
          row[column] = sum;
        }
        __syncthreads();
      }
    }
    __syncthreads();  // before `ends` is written again
  }
}

}  // namespace seqgpu::kernels
