#include <algorithm>

#include "device/cpu/dispatch.hpp"
#include "device/cpu/instantiate.hpp"
#include "device/cpu/table.hpp"
#include "kernels/math/philox.hpp"

// Elementwise operations and reductions.
namespace seqgpu::device::cpu {
namespace {

/// f(i) for every element, in fixed tiles.
template <class F>
void each(const Arguments& a, std::int64_t count, F&& f) {
  a.parallel->for_each(tiles_of(count), [&](std::int64_t tile) {
    const std::int64_t end = std::min(count, (tile + 1) * kTile);
    for (std::int64_t i = tile * kTile; i < end; ++i) f(i);
  });
}

}  // namespace

template <class T>
void compute(const op::BinaryDesc& d, const Arguments& a) {
  const T *x = in<T>(a, 0), *b = in<T>(a, 1);
  T* y = out<T>(a, 0);
  const bool product = d.kind == op::BinaryDesc::Kind::mul;
  if (d.inner == d.count) {
    if (product) {
      each(a, d.count, [=](std::int64_t i) { y[i] = x[i] * b[i]; });
    } else {
      each(a, d.count, [=](std::int64_t i) { y[i] = x[i] + b[i]; });
    }
    return;
  }
  for (std::int64_t row = 0; row < d.count; row += d.inner) {
    for (std::int64_t i = 0; i < d.inner; ++i) y[row + i] = product ? x[row + i] * b[i] : x[row + i] + b[i];
  }
}

template <class T>
void compute(const op::AffineDesc& d, const Arguments& a) {
  const T* x = in<T>(a, 0);
  T* y = out<T>(a, 0);
  const T scale = static_cast<T>(d.scale), shift = static_cast<T>(d.shift);
  each(a, d.count, [=](std::int64_t i) { y[i] = scale * x[i] + shift; });
}

template <class T>
void compute(const op::ActivationDesc& d, const Arguments& a) {
  const T* x = in<T>(a, 0);
  T* y = out<T>(a, 0);
  a.parallel->for_each(tiles_of(d.count), [&](std::int64_t tile) {
    const std::int64_t begin = tile * kTile, end = std::min(d.count, begin + kTile);
    simd().elementwise<T>().activate(d.activation, x + begin, y + begin, end - begin);
  });
}

// From the output: tanh' = 1 - y^2, sigmoid' = y (1 - y), relu' = [y > 0].
template <class T>
void compute(const op::ActivationBackwardDesc& d, const Arguments& a) {
  const T *dy = in<T>(a, 0), *y = in<T>(a, 1);
  T* dx = out<T>(a, 0);
  switch (d.activation) {
    case Activation::linear: each(a, d.count, [=](std::int64_t i) { dx[i] = dy[i]; }); return;
    case Activation::tanh: each(a, d.count, [=](std::int64_t i) { dx[i] = dy[i] * (T(1) - y[i] * y[i]); }); return;
    case Activation::relu: each(a, d.count, [=](std::int64_t i) { dx[i] = y[i] > T(0) ? dy[i] : T(0); }); return;
    case Activation::sigmoid: each(a, d.count, [=](std::int64_t i) { dx[i] = dy[i] * y[i] * (T(1) - y[i]); }); return;
  }
}

template <class T>
void compute(const op::DropoutDesc& d, const Arguments& a) {
  const auto step = static_cast<std::uint64_t>(*in<std::int64_t>(a, 1));
  const DropoutPass<T> pass{in<T>(a, 0), out<T>(a, 0), d.period, d.rate, math::philox_key(d.seed, d.stream), step};
  a.parallel->for_each(tiles_of(d.count), [&](std::int64_t tile) {
    simd().elementwise<T>().dropout(pass, tile * kTile, std::min(d.count, (tile + 1) * kTile));
  });
}

template <class T>
void compute(const op::ReduceDesc& d, const Arguments& a) {
  const T* x = in<T>(a, 0);
  T* y = out<T>(a, 0);
  using Kind = op::ReduceDesc::Kind;
  const bool mean = d.kind == Kind::mean && d.extent > 0;
  for (std::int64_t o = 0; o < d.outer; ++o) {
    const T* from = x + o * d.extent * d.inner;
    T* row = y + o * d.inner;
    if (d.inner == 1 && d.kind != Kind::max) {  // one long sum: in double, so that its error does not grow with it
      const double total = simd().elementwise<T>().sum(from, d.extent);
      *row = static_cast<T>(mean ? total / static_cast<double>(d.extent) : total);
      continue;
    }
    std::fill_n(row, d.inner, T(0));
    for (std::int64_t e = 0; e < d.extent; ++e, from += d.inner) {
      if (d.kind == Kind::max) {
        for (std::int64_t i = 0; i < d.inner; ++i) row[i] = e == 0 || from[i] > row[i] ? from[i] : row[i];
      } else {
        for (std::int64_t i = 0; i < d.inner; ++i) row[i] += from[i];
      }
    }
    for (std::int64_t i = 0; mean && i < d.inner; ++i) row[i] /= static_cast<T>(d.extent);
  }
}

template <class T>
void compute(const op::ReduceBackwardDesc& d, const Arguments& a) {
  const T *x = in<T>(a, 0), *dy = in<T>(a, 1);
  T* dx = out<T>(a, 0);
  using Kind = op::ReduceDesc::Kind;
  const T scale = d.kind == Kind::mean && d.extent > 0 ? T(1) / static_cast<T>(d.extent) : T(1);
  for (std::int64_t o = 0; o < d.outer; ++o, x += d.extent * d.inner, dx += d.extent * d.inner, dy += d.inner) {
    if (d.kind != Kind::max) {
      if (d.inner == 1) std::fill_n(dx, d.extent, *dy * scale);
      for (std::int64_t e = 0; d.inner > 1 && e < d.extent; ++e)
        for (std::int64_t i = 0; i < d.inner; ++i) dx[e * d.inner + i] = dy[i] * scale;
      continue;
    }
    std::fill_n(dx, d.extent * d.inner, T(0));
    for (std::int64_t i = 0; d.extent > 0 && i < d.inner; ++i) {
      std::int64_t best = 0;
      for (std::int64_t e = 1; e < d.extent; ++e)
        if (x[e * d.inner + i] > x[best * d.inner + i]) best = e;
      dx[best * d.inner + i] = dy[i];
    }
  }
}

SEQGPU_INSTANTIATE(BinaryDesc)
SEQGPU_INSTANTIATE(AffineDesc)
SEQGPU_INSTANTIATE(ActivationDesc)
SEQGPU_INSTANTIATE(ActivationBackwardDesc)
SEQGPU_INSTANTIATE(DropoutDesc)
SEQGPU_INSTANTIATE(ReduceDesc)
SEQGPU_INSTANTIATE(ReduceBackwardDesc)

}  // namespace seqgpu::device::cpu
