#include "device/cpu/recurrent_plan.hpp"

#include <algorithm>
#include <cmath>

#include "device/input_errors.hpp"
#include "kernels/math/philox.hpp"

namespace seqgpu::device::cpu {

Order Order::take(Carver& carver, const op::RecurrentDesc& desc) {
  Order order;
  order.sequence = carver.take<std::int64_t>(desc.N);
  order.length = carver.take<std::int64_t>(desc.N);
  order.active = carver.take<std::int64_t>(desc.T + 1);
  order.base = carver.take<std::int64_t>(desc.T + 1);
  order.N = order.caller_N = desc.N;
  order.T = desc.T;
  order.reverse = desc.direction == Direction::reverse;
  return order;
}

void Order::build(const std::int32_t* lengths) {
  const auto length_of = [&](std::int64_t n) { return lengths ? std::int64_t{lengths[n]} : T; };
  std::fill(base, base + T + 1, 0);
  for (std::int64_t n = 0; n < N; ++n) {
    const std::int64_t l = length_of(n);
    if (l < 0 || l > T) throw length_error("recurrent", n, l, T);
    if (l > 0) ++base[l - 1];
  }
  for (std::int64_t s = T - 1; s > 0; --s) base[s - 1] += base[s];

  // Counting sort: the sequences of length l start where those longer than l end.
  for (std::int64_t n = 0; n < N; ++n) {
    const std::int64_t at = base[length_of(n)]++;
    sequence[at] = n;
    length[at] = length_of(n);
  }
  index();
}

void Order::deal(const Order& batch, int part, int parts) {
  caller_N = batch.N;
  std::int64_t before = 0;  // sequences of the parts before
  for (int p = 0; p < part; ++p) before += (batch.N + parts - 1 - p) / parts;
  for (std::int64_t j = 0; j < N; ++j) {
    const bool turned = j % 2 == 1 && (j + 1) * parts <= batch.N;  // back and forth, so that none gets all the longest
    const std::int64_t dealt = j * parts + (turned ? parts - 1 - part : part), from = batch.equal ? before + j : dealt;
    sequence[j] = batch.sequence[from];
    length[j] = batch.length[from];
  }
  index();
}

/// The rest, from the lengths.
void Order::index() {
  rows = 0;
  steps = N > 0 ? length[0] : 0;
  std::int64_t longer = N;
  for (std::int64_t s = 0; s <= T; ++s) {
    while (longer > 0 && length[longer - 1] <= s) --longer;
    base[s] = rows;
    active[s] = longer;
    rows += longer;
  }
  equal = rows == N * steps;
}

template <class T>
void draw_dropout(const op::RecurrentDesc& desc, std::uint64_t step, const Order& order, std::int64_t R, T* mask) {
  const T scale = T(1) / (T(1) - static_cast<T>(desc.recurrent_dropout));
  const std::int64_t valid = desc.projection ? desc.R : desc.H;
  std::fill(mask, mask + order.N * R, T(0));
  for (std::int64_t j = 0; j < order.N; ++j)
    for (std::int64_t r = 0; r < valid; ++r) {
      const auto index = static_cast<std::uint64_t>(order.sequence[j] * valid + r);
      const bool keep = math::uniform(desc.seed, dropout_stream(desc), step, index) >= desc.recurrent_dropout;
      if (keep) mask[j * R + r] = scale;
    }
}

template <class T>
void draw_zoneout(const op::RecurrentDesc& desc, std::uint64_t step, std::int64_t state, std::int64_t row,
                  std::int64_t width, Range units, T* keep) {
  const float rate = zoneout_rate(desc, state);
  const std::uint64_t key = math::philox_key(desc.seed, zoneout_stream(desc, state));
  const std::int64_t last = std::min(units.last, width);
  math::Philox4 draws{};
  for (std::int64_t u = units.first; u < last; ++u) {
    const auto index = static_cast<std::uint64_t>(row * width + u);
    if (u == units.first || index % 4 == 0) draws = math::philox_group(key, step, index / 4);
    keep[u] = math::unit_interval(draws.x[index % 4]) < rate ? T(1) : T(0);
  }
}

template <class T>
int scan_chunks(const op::RecurrentDesc& desc, const Sizes<T>& z, std::int64_t gates, int threads) {
  // A step's weights and products at 100 GB/s and 100 GFLOP/s; a phase that all must finish costs some 0.3 us.
  const double weights = static_cast<double>(z.G * z.H * z.R);
  const double microseconds = std::max(weights * sizeof(T), weights * 2.0 * static_cast<double>(desc.N)) * 1e-5;
  const std::int64_t units = simd().recurrent<T>(desc.precision).most_chunks(std::min(z.H, z.R), gates);
  const std::int64_t most = std::min({std::int64_t{threads}, std::int64_t{kMostChunks}, units});
  return static_cast<int>(
      std::clamp(std::int64_t{std::llround(microseconds)}, std::int64_t{1}, std::max(most, std::int64_t{1})));
}

template <class T>
void pack_all(const RecurrentKernels<T>& kernels, const PanelSource<T>& source, std::int64_t width, T* panels,
              Parallel& parallel) {
  const std::int64_t chunks = kernels.most_chunks(width, source.gates);
  parallel.for_each(chunks, [&](std::int64_t chunk) {
    kernels.pack_panels(source, kernels.chunk_of(width, source.gates, chunk, chunks), panels);
  });
}

template <class T>
void pad_units(const T* from, std::int64_t gates, std::int64_t H, std::int64_t columns, T* to) {
  const std::int64_t valid = H * columns, width = padded<T>(H) * columns;
  for (std::int64_t g = 0; g < gates; ++g) {
    if (from) std::copy(from + g * valid, from + (g + 1) * valid, to + g * width);
    std::fill(to + g * width + (from ? valid : 0), to + (g + 1) * width, T(0));
  }
}

template <class T>
void unpad_units(const T* from, std::int64_t gates, std::int64_t H, std::int64_t columns, T* to) {
  const std::int64_t valid = H * columns, width = padded<T>(H) * columns;
  for (std::int64_t g = 0; g < gates; ++g) std::copy(from + g * width, from + g * width + valid, to + g * valid);
}

template <class T>
void gather_step(const Order& order, const T* x, std::int64_t I, std::int64_t step, T* packed) {
  order.for_each_run(step, [&](std::int64_t j, std::int64_t count) {
    std::copy_n(x + order.outside(j, step) * I, count * I, packed + j * I);
  });
}

#define SEQGPU_INSTANTIATE(T)                                                                                      \
  template void draw_dropout<T>(const op::RecurrentDesc&, std::uint64_t, const Order&, std::int64_t, T*);          \
  template void draw_zoneout<T>(const op::RecurrentDesc&, std::uint64_t, std::int64_t, std::int64_t, std::int64_t, \
                                Range, T*);                                                                        \
  template int scan_chunks<T>(const op::RecurrentDesc&, const Sizes<T>&, std::int64_t, int);                       \
  template void pack_all<T>(const RecurrentKernels<T>&, const PanelSource<T>&, std::int64_t, T*, Parallel&);       \
  template void pad_units<T>(const T*, std::int64_t, std::int64_t, std::int64_t, T*);                              \
  template void unpad_units<T>(const T*, std::int64_t, std::int64_t, std::int64_t, T*);                            \
  template void gather_step<T>(const Order&, const T*, std::int64_t, std::int64_t, T*);
SEQGPU_INSTANTIATE(float)
SEQGPU_INSTANTIATE(double)
#undef SEQGPU_INSTANTIATE

}  // namespace seqgpu::device::cpu
