#include "device/cpu/gemm.hpp"

#include <algorithm>

#include "device/cpu/dispatch.hpp"

namespace seqgpu::device::cpu {

namespace {
constexpr std::int64_t kTileRows = 48;      // what a tile's stack buffer holds: see gemm_kernels.cpp
constexpr std::int64_t kTallRows = 144;     // where none is needed
constexpr std::int64_t kTileGroups = 8;     // column groups of a tile
constexpr std::int64_t kCached = 1 << 20;   // bytes of B that the second-level cache may keep from tile to tile
constexpr std::int64_t kTilesOfThread = 4;  // at least, or some thread waits long for another

std::int64_t tiles(std::int64_t count, std::int64_t of) { return (count + of - 1) / of; }

/// Rows of a tile: many where B is read anew for each, from far away. No result depends on it.
template <class T>
std::int64_t rows_of_tile(const Gemm<T>& g, std::int64_t groups, int threads) {
  const bool copied = g.a_col != 1 || g.precision != Precision::f32;
  if (copied || g.n * g.k * static_cast<std::int64_t>(sizeof(T)) <= kCached) return kTileRows;
  const bool enough = threads == 1 || tiles(g.m, kTallRows) * tiles(groups, kTileGroups) >= kTilesOfThread * threads;
  return enough ? kTallRows : kTileRows;
}

template <class T>
void run_tile(const Gemm<T>& g, const void* packed, std::int64_t row, std::int64_t rows, std::int64_t group,
              std::int64_t last) {
  simd()
      .gemm<T>(g.precision)
      .tile(g, static_cast<const T*>(packed), row, std::min(row + rows, g.m), group,
            std::min(group + kTileGroups, last));
}
}  // namespace

template <class T>
std::size_t gemm_workspace(std::int64_t, std::int64_t n, std::int64_t k) {
  return static_cast<std::size_t>(padded<T>(n) * k) * sizeof(T);
}

template <class T>
std::int64_t gemm_group_columns(Precision precision) {
  return simd().gemm<T>(precision).columns;
}

template <class T>
std::int64_t groups_of(const Gemm<T>& g) {
  const std::int64_t columns = gemm_group_columns<T>(g.precision);
  return tiles(g.n, columns);
}

template <class T>
void gemm_pack_group(const Gemm<T>& g, std::int64_t group, void* packed) {
  simd().gemm<T>(g.precision).pack(g, group, static_cast<T*>(packed));
}

template <class T>
void gemm_pack(const Gemm<T>& g, void* packed, Parallel& parallel) {
  if (g.n <= 0 || g.k <= 0) return;
  parallel.for_each(groups_of(g), [&](std::int64_t group) { gemm_pack_group(g, group, packed); });
}

template <class T>
void gemm_packed(const Gemm<T>& g, const void* packed, Parallel& parallel) {
  if (g.m <= 0 || g.n <= 0) return;
  const std::int64_t groups = groups_of(g), across = tiles(groups, kTileGroups);
  const std::int64_t rows = rows_of_tile(g, groups, parallel.threads());
  parallel.for_each(tiles(g.m, rows) * across, [&](std::int64_t tile) {
    run_tile(g, packed, tile / across * rows, rows, tile % across * kTileGroups, groups);
  });
}

template <class T>
void gemm_packed_groups(const Gemm<T>& g, const void* packed, std::int64_t first, std::int64_t last) {
  const std::int64_t rows = rows_of_tile(g, last - first, 1);
  for (std::int64_t row = 0; row < g.m; row += rows)
    for (std::int64_t group = first; group < last; group += kTileGroups) run_tile(g, packed, row, rows, group, last);
}

template <class T>
void gemm(const Gemm<T>& g, void* workspace, Parallel& parallel) {
  if (g.m <= 0) return;
  gemm_pack(g, workspace, parallel);
  gemm_packed(g, workspace, parallel);
}

template std::size_t gemm_workspace<float>(std::int64_t, std::int64_t, std::int64_t);
template std::size_t gemm_workspace<double>(std::int64_t, std::int64_t, std::int64_t);
template void gemm<float>(const Gemm<float>&, void*, Parallel&);
template void gemm<double>(const Gemm<double>&, void*, Parallel&);
template void gemm_pack<float>(const Gemm<float>&, void*, Parallel&);
template void gemm_pack<double>(const Gemm<double>&, void*, Parallel&);
template void gemm_packed<float>(const Gemm<float>&, const void*, Parallel&);
template void gemm_packed<double>(const Gemm<double>&, const void*, Parallel&);
template std::int64_t gemm_group_columns<float>(Precision);
template std::int64_t gemm_group_columns<double>(Precision);
template void gemm_pack_group<float>(const Gemm<float>&, std::int64_t, void*);
template void gemm_pack_group<double>(const Gemm<double>&, std::int64_t, void*);
template void gemm_packed_groups<float>(const Gemm<float>&, const void*, std::int64_t, std::int64_t);
template void gemm_packed_groups<double>(const Gemm<double>&, const void*, std::int64_t, std::int64_t);

}  // namespace seqgpu::device::cpu
