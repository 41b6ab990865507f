#pragma once

#include "kernels/block/elements.cuh"
#include "kernels/block/fault.cuh"
#include "kernels/gather/launch.hpp"

// Rows of a table.
//   work    one thread per element of the result, per 16 bytes where rows are aligned; narrow rows share a block
//   memory  reads and writes count * E, coalesced along the row; an id is read by each thread of its row, from cache
//   limits  count < 2^32, as a fault's index
namespace seqgpu::kernels {

template <class Unit>
__global__ void __launch_bounds__(kElementThreads, kElementBlocks) gather_kernel(GatherArgs p) {
  const std::int64_t width = p.E / static_cast<std::int64_t>(sizeof(Unit) / sizeof(float));
  const auto* table = reinterpret_cast<const Unit*>(p.table);
  auto* y = reinterpret_cast<Unit*>(p.y);
  if (blockIdx.y == 0 && threadIdx.x == 0) {  // also where rows are empty
    each_of_rows(p.count, 1, [&](std::int64_t row, std::int64_t) {
      if (p.ids[row] < 0 || p.ids[row] >= p.V) report_fault(p.faults, FaultyArgument::values, row, p.ids[row]);
    });
  }
  each_of_rows(p.count, width, [&](std::int64_t row, std::int64_t column) {
    const std::int32_t id = p.ids[row];
    y[row * width + column] = id >= 0 && id < p.V ? table[id * width + column] : Unit{};
  });
}

}  // namespace seqgpu::kernels
