// Matrix product, compiled once per instruction set.
//   packed B   [column group][k][packs][lanes], zero past n; in bf16 an element is two k
//   tile       rows of A; it is copied to the stack where its rows are not contiguous: [k][kRowBlock], and in bf16
//              always, rounded: kRowBlock rows at most there
//   k          in blocks, added to C in order
#include <cstring>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/simd/product.hpp"
#include "device/cpu/simd/transpose.hpp"

namespace seqgpu::device::cpu::SEQGPU_SIMD {
namespace {

constexpr std::int64_t kDepth = 256;  // elements in a k block: a group's block of B is 64 KiB, within L2
constexpr std::int64_t kRowBlock = 48;
constexpr std::int64_t kAhead = 8;  // columns of A far apart in memory, which the processor does not foresee

std::int64_t least(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

template <class T>
std::int64_t packs_of_group(std::int64_t n, std::int64_t group) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  return least(kColumnTile, (n + lanes - 1) / lanes - group * kColumnTile);
}

/// Columns [first, first + columns) of B; zero past n.
template <class T>
void pack_columns(const Gemm<T>& g, std::int64_t first, std::int64_t columns, T* out) {
  const std::int64_t valid = least(columns, g.n - first);
  if (g.b_col == 1) {
    for (std::int64_t p = 0, end = 0; p < g.k; p = end) {
      const T* from = g.b + g.b_row.at(p) + first;
      end = p + g.b_row.together(p, g.k - p);
      for (std::int64_t q = p; q < end; ++q, from += g.b_row.stride, out += columns) {
        for (std::int64_t j = 0; j < valid; ++j) out[j] = from[j];
        for (std::int64_t j = valid; j < columns; ++j) out[j] = 0;
      }
    }
    return;
  }
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t b_row = g.b_row.stride;
  for (std::int64_t j = 0; j < columns; j += lanes) {
    const T* from = g.b + (first + j) * g.b_col;
    std::int64_t p = 0;
    if (b_row == 1 && j + lanes <= valid)
      for (; p + lanes <= g.k; p += lanes) transpose(from + p, g.b_col, out + p * columns + j, columns);
    for (; p < g.k; ++p)
      for (std::int64_t i = 0; i < lanes; ++i)
        out[p * columns + j + i] = j + i < valid ? from[i * g.b_col + p * b_row] : T(0);
  }
}

#if defined(SEQGPU_SIMD_BF16)
void pack_columns(const Gemm<float>& g, std::int64_t first, std::int64_t columns, Bf16Pair* out) {
  for (std::int64_t j = 0; j < columns; j += Pack<float>::kLanes)
    pack_pairs(g.b + (first + j) * g.b_col, g.b_col, g.b_row.stride, g.n - first - j, g.k, out + j, columns);
}
#endif

template <class T>
void pack_group(const Gemm<T>& g, std::int64_t group, T* packed) {
  constexpr std::int64_t lanes = Pack<T>::kLanes;
  const std::int64_t first = group * kColumnTile * lanes;
  pack_columns(g, first, packs_of_group<T>(g.n, group) * lanes,
               reinterpret_cast<Element<T>*>(packed) + first * elements<T>(g.k));
}

template <class T>
void write_row(const T* sum, T* c, const T* bias, std::int64_t valid, bool add) {
  using P = Pack<T>;
  std::int64_t j = 0;
  for (; j + P::kLanes <= valid; j += P::kLanes) {
    P value = P::load(sum + j);
    if (bias) value = value + P::load(bias + j);
    if (add) value = value + P::load(c + j);
    value.store(c + j);
  }
  for (; j < valid; ++j) {
    T value = sum[j];
    if (bias) value += bias[j];
    if (add) value += c[j];
    c[j] = value;
  }
}

/// Numbers from one k of a tile's rows to the next where A is copied: a power of two, to be moved as one.
constexpr std::int64_t kCopied = kRowTile > 4 ? 8 : kRowTile > 2 ? 4 : 2;
/// From the rows of one tile to those of the next: beside a power of two, as tiles are written side by side.
constexpr std::int64_t kTileStride = kCopied * kDepth + 16;

/// A(row..row_end-1, p..p+depth-1) to [tile of rows][depth][kCopied].
template <class T>
void copy_block(const Gemm<T>& g, std::int64_t row, std::int64_t row_end, std::int64_t p, std::int64_t depth,
                T* block) {
  std::int64_t first[kRowBlock / kRowTile + 1], tiles = 0, whole = 0;  // whole: tiles that can be moved as one
  for (std::int64_t i = row; i < row_end; i += next_rows(row_end - i)) {
    first[tiles++] = i;
    if (g.a_row.stride == 1 && i + kCopied <= g.m) whole = tiles;
  }
  first[tiles] = row_end;
  for (std::int64_t q = 0; q < depth; ++q, block += kCopied) {
    const T* from = g.a + (p + q) * g.a_col;
    for (std::int64_t i = row; whole > 0 && i < row_end; i += 64 / static_cast<std::int64_t>(sizeof(T)))
      __builtin_prefetch(from + kAhead * g.a_col + i);
    for (std::int64_t t = 0; t < whole; ++t) std::memcpy(block + t * kTileStride, from + first[t], kCopied * sizeof(T));
    for (std::int64_t t = whole; t < tiles; ++t)
      for (std::int64_t i = first[t]; i < first[t + 1]; ++i)
        block[t * kTileStride + i - first[t]] = from[i * g.a_row.stride];
  }
}

#if defined(SEQGPU_SIMD_BF16)
/// The same in bf16; to [kRowBlock][kDepth] where rows of A are contiguous.
void copy_block(const Gemm<float>& g, std::int64_t row, std::int64_t row_end, std::int64_t p, std::int64_t depth,
                Bf16Pair* block) {
  const std::int64_t rows = row_end - row;
  if (g.a_col == 1) {
    for (std::int64_t r = 0; r < rows; ++r) to_pairs(g.a + g.a_row.at(row + r) + p, depth, block + r * kDepth);
  } else {
    const float* from = g.a + row + p * g.a_col;
    for (std::int64_t r = 0; r < rows; r += Pack<float>::kLanes)
      pack_pairs(from + r, 1, g.a_col, rows - r, depth, block + r, kRowBlock);
  }
}
#endif

template <class T>
void multiply_tile(const Gemm<T>& g, const T* packed, std::int64_t row, std::int64_t row_end, std::int64_t group,
                   std::int64_t group_end) {
  constexpr std::int64_t lanes = Pack<T>::kLanes, tiles = kRowBlock / kRowTile, size = sizeof(T);
  constexpr bool rounded = Factor<T>::kTogether > 1;
  alignas(64) T sum[kRowTile * kColumnTile * lanes];
  alignas(64) Element<T> a_block[rounded ? kRowBlock * kDepth : tiles * kTileStride];
  const bool by_row = g.a_col == 1;
  const std::int64_t a_row = by_row ? kDepth : 1, a_k = by_row ? 1 : kRowBlock;  // how a rounded block lies
  const auto panel_of = [&](std::int64_t j, std::int64_t depth_before) {
    return reinterpret_cast<const Element<T>*>(packed) + j * kColumnTile * lanes * elements<T>(g.k) +
           depth_before / Factor<T>::kTogether * packs_of_group<T>(g.n, j) * lanes;
  };
  std::int64_t p = 0;
  do {  // once even for k = 0: C = bias
    const std::int64_t depth = least(kDepth * Factor<T>::kTogether, g.k - p), count = elements<T>(depth);
    if (rounded || !by_row) copy_block(g, row, row_end, p, depth, a_block);
    for (std::int64_t j = group; j < group_end; ++j) {
      const std::int64_t packs = packs_of_group<T>(g.n, j), first = j * kColumnTile * lanes;
      const std::int64_t valid = least(packs * lanes, g.n - first);
      const auto* panel = panel_of(j, p);
      const auto* next = j + 1 < group_end ? panel_of(j + 1, p)
                         : p + depth < g.k ? panel_of(group, p + depth)
                                           : panel_of(group_end, 0);
      const T* bias = g.bias && p == 0 ? g.bias + first : nullptr;
      const bool add = g.accumulate || p > 0, whole = valid == packs * lanes;
      const Element<T>* tile = a_block;
      std::int64_t number = 0;
      for (std::int64_t i = row, rows = 0; i < row_end; i += rows, tile += kTileStride, ++number) {
        rows = next_rows(g.c_row.together(i, g.a_row.together(i, row_end - i)));
        T* c = g.c + g.c_row.at(i) + first;
        // Rows of A that are read next: the processor foresees each only once it is begun.
        const bool first_use = by_row && !rounded && j == group && i + rows < g.m;
        const Soon a_rows{g.a + g.a_row.at(i + rows) + p, g.a_row.stride * size,
                          first_use ? (depth * size + 63) / 64 : 0};
        const Ahead ahead = fetch_ahead(next, packs, count, number, tiles_of(row_end - row));
        const Target<T> to = whole ? Target<T>{c, g.c_row.stride, add, bias, ahead, a_rows}
                                   : Target<T>{sum, packs * lanes, false, nullptr, ahead, a_rows};
        const auto run = kProducts<T>.by_size[packs - 1][rows - 1];
        if constexpr (rounded)
          run(a_block + (i - row) * a_row, a_row, a_k, panel, count, to);
        else if (by_row)
          run(g.a + g.a_row.at(i) + p, g.a_row.stride, 1, panel, count, to);
        else
          run(tile, 1, kCopied, panel, count, to);
        for (std::int64_t r = 0; !whole && r < rows; ++r)
          write_row(sum + r * packs * lanes, c + r * g.c_row.stride, bias, valid, add);
      }
    }
    p += depth;
  } while (p < g.k);
}

template <class T>
constexpr GemmKernels<T> kTable{kColumnTile * Pack<T>::kLanes, pack_group<T>, multiply_tile<T>};

}  // namespace

extern const GemmKernels<float> kGemmF32;
const GemmKernels<float> kGemmF32 = kTable<float>;
#if !defined(SEQGPU_SIMD_BF16)
extern const GemmKernels<double> kGemmF64;
const GemmKernels<double> kGemmF64 = kTable<double>;
#endif

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
