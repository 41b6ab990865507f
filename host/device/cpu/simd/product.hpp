#pragma once

#include <cstdint>
#include <utility>

#include "device/cpu/simd/pack.hpp"

// The one micro-kernel: a few rows times a panel of W packs, one multiply-add chain per sum, in order of k. A row's
// result has the same bits whichever rows share its tile.
namespace seqgpu::device::cpu::SEQGPU_SIMD {

template <int... I, class F>
[[gnu::always_inline]] inline void unroll(std::integer_sequence<int, I...>, F&& f) {
  (f(std::integral_constant<int, I>{}), ...);
}

/// out [M][W][lanes] = sum over k of x(i, k) * panel [k][W][lanes], where x(i, k) = x[i*x_row + k*x_k].
template <class T, int W, int M>
static void product(const T* x, std::int64_t x_row, std::int64_t x_k, const T* panel, std::int64_t count, T* out) {
  using P = Pack<T>;
  constexpr auto rows = std::make_integer_sequence<int, M>{};
  constexpr auto packs = std::make_integer_sequence<int, W>{};
  typename P::Vector sum[M][W] = {};
  for (std::int64_t k = 0; k < count; ++k, x += x_k, panel += W * P::kLanes) {
    typename P::Vector broadcast[M];
    unroll(
        rows, [&](auto i) __attribute__((always_inline)) { broadcast[i] = P(x[i * x_row]).v; });
    unroll(
        packs, [&](auto w) __attribute__((always_inline)) {
          const auto b = P::load(panel + w * P::kLanes).v;
          unroll(
              rows, [&](auto i) __attribute__((always_inline)) { sum[i][w] = broadcast[i] * b + sum[i][w]; });
        });
  }
  unroll(
      rows, [&](auto i) __attribute__((always_inline)) {
        unroll(
            packs, [&](auto w) __attribute__((always_inline)) { P(sum[i][w]).store(out + (i * W + w) * P::kLanes); });
      });
}

template <class T>
using ProductFunction = void (*)(const T*, std::int64_t, std::int64_t, const T*, std::int64_t, T*);

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

/// Rows of the next tile, so that all tiles are about equally high.
inline std::int64_t next_rows(std::int64_t left) {
  const std::int64_t tiles = (left + kRowTile - 1) / kRowTile;
  return (left + tiles - 1) / tiles;
}

}  // namespace seqgpu::device::cpu::SEQGPU_SIMD
