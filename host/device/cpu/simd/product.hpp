#pragma once

#include <cstdint>
#include <utility>

#include "device/cpu/simd/pack.hpp"
#if defined(SEQGPU_SIMD_BF16)
#include "device/cpu/simd/bf16.hpp"
#endif

// The one micro-kernel: a few rows times a panel of W packs, one multiply-add chain per sum, in order of k. A row's
// result has the same bits whichever rows share its tile.
namespace seqgpu::device::cpu::SEQGPU_SIMD {

/// What a product of numbers T multiplies: an element is one number here, kTogether neighbours along k in bf16.hpp.
template <class T>
struct Factor {
  using Element = T;
  using Vector = typename Pack<T>::Vector;
  static constexpr std::int64_t kTogether = 1;

  static Vector broadcast(T x) { return Pack<T>(x).v; }
  static Vector load(const T* p) { return Pack<T>::load(p).v; }
  [[gnu::always_inline]] static Vector multiply_add(Vector a, Vector b, Vector sum) { return a * b + sum; }
};

template <class T>
using Element = typename Factor<T>::Element;

/// Elements that k numbers take.
template <class T>
constexpr std::int64_t elements(std::int64_t k) {
  return (k + Factor<T>::kTogether - 1) / Factor<T>::kTogether;
}

template <int... I, class F>
[[gnu::always_inline]] inline void unroll(std::integer_sequence<int, I...>, F&& f) {
  (f(std::integral_constant<int, I>{}), ...);
}

/// What a tile fetches of the panel that is read next, a line for each k from either place, and only as far as the
/// second-level cache: the first has the tile's own. Need not be readable.
struct Ahead {
  const char* one;
  const char* other;
};

/// Tiles of rows share out the panel [k][packs][lanes] that is read next, which lies too far for the processor to
/// foresee it. Where there are enough of them each fetches one line for each k: memory further away can keep but few
/// lines on their way.
template <class E>
Ahead fetch_ahead(const E* next, std::int64_t packs, std::int64_t k, std::int64_t tile, std::int64_t tiles) {
  const std::int64_t bytes = k * 64, pieces = (packs * kPackBytes + 63) / 64, each = tiles < pieces ? 2 : 1;
  const std::int64_t first = tile * each < pieces ? tile * each : pieces;
  const char* one = reinterpret_cast<const char*>(next) + first * bytes;
  return {one, each == 2 ? one + bytes : one};
}

/// Rows that are read or written when a tile's product is done. All their lines at once would keep the product's own
/// loads waiting, so it fetches them row by row while it runs.
struct Soon {
  const void* from;
  std::int64_t row;  // bytes from one to the next
  std::int64_t lines;
};

[[gnu::always_inline]] inline void fetch_row(const Soon& soon, std::int64_t i) {
  const char* from = static_cast<const char*>(soon.from) + i * soon.row;
  for (std::int64_t line = 0; line < soon.lines; ++line) __builtin_prefetch(from + line * 64);
}

/// Where a product goes: row i begins at out + i*row.
template <class T>
struct Target {
  T* out;
  std::int64_t row;
  bool add;       // to what is there
  const T* bias;  // a row that every row gets besides, or null
  Ahead ahead;
  Soon soon = {nullptr, 0, 0};  // besides out
};

constexpr std::int64_t kWorthwhile = 64;  // elements: else all rows are fetched at once

/// to [M][W packs] = sum over k of x(i, k) * panel [k][W][lanes], where x(i, k) = x[i*x_row + k*x_k]; k counts
/// elements.
template <class T, int W, int M>
static void product(const Element<T>* x, std::int64_t x_row, std::int64_t x_k, const Element<T>* panel,
                    std::int64_t count, Target<T> to) {
  using P = Pack<T>;
  using F = Factor<T>;
  constexpr auto rows = std::make_integer_sequence<int, M>{};
  constexpr auto packs = std::make_integer_sequence<int, W>{};
  typename P::Vector sum[M][W] = {};
  const Soon out{to.out, to.row * static_cast<std::int64_t>(sizeof(T)), (W * kPackBytes + 63) / 64};
  const int stretches = count >= kWorthwhile ? M : 1;
  std::int64_t k = 0;
  for (int stretch = 0; stretch < stretches; ++stretch) {
    for (int i = stretch; i < (stretches == M ? stretch + 1 : M); ++i) {
      fetch_row(out, i);
      fetch_row(to.soon, i);
    }
    for (const std::int64_t end = count * (stretch + 1) / stretches; k < end; ++k, x += x_k, panel += W * P::kLanes) {
      if constexpr (M > 2) {  // else the panels themselves keep the loads busy
        __builtin_prefetch(to.ahead.one + k * 64, 0, 2);
        __builtin_prefetch(to.ahead.other + k * 64, 0, 2);
      }
      typename P::Vector broadcast[M];
      unroll(
          rows, [&](auto i) __attribute__((always_inline)) { broadcast[i] = F::broadcast(x[i * x_row]); });
      unroll(
          packs, [&](auto w) __attribute__((always_inline)) {
            const auto b = F::load(panel + w * P::kLanes);
            unroll(
                rows, [&](auto i)
                          __attribute__((always_inline)) { sum[i][w] = F::multiply_add(broadcast[i], b, sum[i][w]); });
          });
    }
  }
  if (to.bias)
    unroll(
        packs, [&](auto w) __attribute__((always_inline)) {
          const auto b = P::load(to.bias + w * P::kLanes).v;
          unroll(
              rows, [&](auto i) __attribute__((always_inline)) { sum[i][w] += b; });
        });
  if (to.add)
    unroll(
        rows, [&](auto i) __attribute__((always_inline)) {
          unroll(
              packs, [&](auto w) __attribute__((always_inline)) {
                sum[i][w] += P::load(to.out + i * to.row + w * P::kLanes).v;
              });
        });
  unroll(
      rows, [&](auto i) __attribute__((always_inline)) {
        unroll(
            packs, [&](auto w)
                       __attribute__((always_inline)) { P(sum[i][w]).store(to.out + i * to.row + w * P::kLanes); });
      });
}

template <class T>
using ProductFunction = void (*)(const Element<T>*, std::int64_t, std::int64_t, const Element<T>*, std::int64_t,
                                 Target<T>);

template <class T>
struct Products {
  ProductFunction<T> by_size[kColumnTile][kRowTile];
};

template <class T, int W, int... M>
constexpr void fill_products(Products<T>& table, std::integer_sequence<int, M...>) {
  ((table.by_size[W - 1][M] = product<T, W, M + 1>), ...);
}

template <class T>
constexpr Products<T> make_products() {
  constexpr auto rows = std::make_integer_sequence<int, kRowTile>{};
  Products<T> table{};
  fill_products<T, 1>(table, rows);
  fill_products<T, 2>(table, rows);
  fill_products<T, 3>(table, rows);
  fill_products<T, 4>(table, rows);
  return table;
}

template <class T>
static constexpr Products<T> kProducts = make_products<T>();

inline std::int64_t tiles_of(std::int64_t rows) { return (rows + kRowTile - 1) / kRowTile; }

/// Rows of the next tile, so that all tiles are about equally high.
inline std::int64_t next_rows(std::int64_t left) {
  const std::int64_t tiles = tiles_of(left);
  return (left + tiles - 1) / tiles;
}

/// to [rows][packs] = x [rows, k] times a panel, where x(i, k) = x[i*x_row + k].
template <class T>
void multiply_rows(const T* x, std::int64_t x_row, std::int64_t rows, const T* panel, std::int64_t packs,
                   std::int64_t k, const Target<T>& to) {
  kProducts<T>.by_size[packs - 1][rows - 1](x, x_row, 1, panel, k, to);
}

#if defined(SEQGPU_SIMD_BF16)
/// Rounds x anew for every panel: that is 3 instructions beside the 64 of a product.
template <class T>
void multiply_rows(const float* x, std::int64_t x_row, std::int64_t rows, const Bf16Pair* panel, std::int64_t packs,
                   std::int64_t k, Target<float> to) {
  constexpr std::int64_t kPairs = 256;
  const auto run = kProducts<float>.by_size[packs - 1][rows - 1];
  alignas(64) Bf16Pair block[kRowTile * kPairs];
  std::int64_t p = 0;
  do {
    const std::int64_t depth = k - p < 2 * kPairs ? k - p : 2 * kPairs;
    for (std::int64_t i = 0; i < rows; ++i) to_pairs(x + i * x_row + p, depth, block + i * kPairs);
    run(block, kPairs, 1, panel + p / 2 * packs * Pack<float>::kLanes, elements<float>(depth), to);
    to.add = true;
    to.bias = nullptr;
    to.ahead = {to.ahead.one + kPairs * 64, to.ahead.other + kPairs * 64};
    p += depth;
  } while (p < k);
}
#endif

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
