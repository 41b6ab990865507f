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
std::int64_t gemm_group_columns(Precision precision) {
  return simd().gemm<T>(precision).columns;
}

template <class T>
std::int64_t groups_of(const Gemm<T>& g) {
  const std::int64_t columns = gemm_group_columns<T>(g.precision);
  return (g.n + columns - 1) / columns;
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
  const std::int64_t groups = groups_of(g), across = (groups + kTileGroups - 1) / kTileGroups;
  const std::int64_t down = (g.m + kTileRows - 1) / kTileRows;
  parallel.for_each(down * across, [&](std::int64_t tile) {
    const std::int64_t row = tile / across * kTileRows, group = tile % across * kTileGroups;
    simd()
        .gemm<T>(g.precision)
        .tile(g, static_cast<const T*>(packed), row, std::min(row + kTileRows, g.m), group,
              std::min(group + kTileGroups, groups));
  });
}

template <class T>
void gemm_packed_groups(const Gemm<T>& g, const void* packed, std::int64_t first, std::int64_t last) {
  for (std::int64_t row = 0; row < g.m; row += kTileRows)
    for (std::int64_t group = first; group < last; group += kTileGroups)
      simd()
          .gemm<T>(g.precision)
          .tile(g, static_cast<const T*>(packed), row, std::min(row + kTileRows, g.m), group,
                std::min(group + kTileGroups, last));
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
