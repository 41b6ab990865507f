#include "device/cpu/gemm.hpp"

#include <algorithm>

#include "device/cpu/dispatch.hpp"

namespace seqgpu::device::cpu {

namespace {
constexpr std::int64_t kTileRows = 48;   // what a tile's stack buffer holds: see gemm_kernels.cpp
constexpr std::int64_t kTileGroups = 8;  // column groups of a tile
}  // namespace

template <class T>
std::size_t gemm_workspace(std::int64_t, std::int64_t n, std::int64_t k) {
  return static_cast<std::size_t>(padded<T>(n) * k) * sizeof(T);
}

template <class T>
void gemm(const Gemm<T>& g, void* workspace, Parallel& parallel) {
  if (g.m <= 0 || g.n <= 0) return;
  const GemmKernels<T>& kernels = simd().gemm<T>();
  T* const packed = static_cast<T*>(workspace);
  const std::int64_t groups = (g.n + kernels.columns - 1) / kernels.columns;
  if (g.k > 0) parallel.for_each(groups, [&](std::int64_t group) { kernels.pack(g, group, packed); });

  const std::int64_t across = (groups + kTileGroups - 1) / kTileGroups;
  const std::int64_t down = (g.m + kTileRows - 1) / kTileRows;
  parallel.for_each(down * across, [&](std::int64_t tile) {
    const std::int64_t row = tile / across * kTileRows, group = tile % across * kTileGroups;
    kernels.tile(g, packed, row, std::min(row + kTileRows, g.m), group, std::min(group + kTileGroups, groups));
  });
}

template std::size_t gemm_workspace<float>(std::int64_t, std::int64_t, std::int64_t);
template std::size_t gemm_workspace<double>(std::int64_t, std::int64_t, std::int64_t);
template void gemm<float>(const Gemm<float>&, void*, Parallel&);
template void gemm<double>(const Gemm<double>&, void*, Parallel&);

}  // namespace seqgpu::device::cpu
