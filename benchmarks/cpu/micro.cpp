// The inner loops of the CPU device one by one, on one thread, with Google Benchmark: packing and product of a matrix,
// gate maths, a frame of CTC. Usage: micro [--benchmark_filter=REGEX] (and its other flags)
#include <benchmark/benchmark.h>

#include "benchmarks/cpu/seqgpu_parts.hpp"
#include "benchmarks/support/random_data.hpp"
#include "device/cpu/dispatch.hpp"
#include "device/cpu/recurrent_plan.hpp"
#include "seqgpu/cell.hpp"

namespace seqgpu::benchmark {
namespace {

using namespace device::cpu;

/// Memory that kernels may read and write by packs.
class Aligned {
 public:
  explicit Aligned(std::int64_t count)
      : values_(random_values("micro", static_cast<std::size_t>(count + kRowBytes / 4))) {}
  float* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(values_.data());
    return values_.data() + (kRowBytes - address % kRowBytes) % kRowBytes / sizeof(float);
  }

 private:
  std::vector<float> values_;
};

/// Arguments: m, n, k; B is given as [n, k], as weights are.
Gemm<float> product_of(const ::benchmark::State& state, Aligned& a, Aligned& b, Aligned& c) {
  Gemm<float> g;
  g.m = state.range(0), g.n = state.range(1), g.k = state.range(2);
  g.a = a.data(), g.a_row = g.k;
  g.b = b.data(), g.b_row = 1, g.b_col = g.k;
  g.c = c.data(), g.c_row = g.n;
  return g;
}

void gemm_pack(::benchmark::State& state) {
  const std::int64_t n = state.range(1), k = state.range(2);
  Aligned a(1), b(n * k), c(1), packed(padded<float>(n) * k);
  const Gemm<float> g = product_of(state, a, b, c);
  const GemmKernels<float>& kernels = simd().gemm<float>(Precision::f32);
  for (auto _ : state) {
    for (std::int64_t group = 0; group * kernels.columns < n; ++group) kernels.pack(g, group, packed.data());
    ::benchmark::ClobberMemory();
  }
  state.SetBytesProcessed(state.iterations() * 2 * n * k * 4);
}
BENCHMARK(gemm_pack)->Args({0, 512, 128})->Args({0, 1024, 256})->Args({0, 4096, 1024})->ArgNames({"", "n", "k"});

void gemm_tile(::benchmark::State& state) {
  const std::int64_t m = state.range(0), n = state.range(1), k = state.range(2);
  Aligned a(m * k), b(n * k), c(m * n), packed(padded<float>(n) * k);
  const Gemm<float> g = product_of(state, a, b, c);
  const GemmKernels<float>& kernels = simd().gemm<float>(Precision::f32);
  const std::int64_t groups = (n + kernels.columns - 1) / kernels.columns;
  for (std::int64_t group = 0; group < groups; ++group) kernels.pack(g, group, packed.data());
  for (auto _ : state) {
    kernels.tile(g, packed.data(), 0, m, 0, groups);
    ::benchmark::ClobberMemory();
  }
  state.counters["GFLOP/s"] =
      ::benchmark::Counter(2e-9 * static_cast<double>(m * n * k), ::benchmark::Counter::kIsIterationInvariantRate);
}
BENCHMARK(gemm_tile)->Args({48, 128, 128})->Args({48, 128, 256})->Args({48, 128, 1024})->ArgNames({"m", "n", "k"});

constexpr std::int64_t kUnits = 256, kRows = 8;

/// A step without its product, per unit and sequence. Argument: the cell, a CellKind.
void gates_forward(::benchmark::State& state) {
  const auto cell = static_cast<CellKind>(state.range(0));
  const cells::CellTraits traits = cells::traits_of(cell);
  Aligned wx(kRows * traits.gates * kUnits), entering(kRows * kUnits), panels(64), bias(traits.gates * kUnits);
  Aligned previous(kRows * kUnits), h(kRows * kUnits), c(kRows * kUnits), saved(kRows * traits.saved * kUnits);
  StepForward<float> p;
  p.units = {0, kUnits};
  p.rows = kRows, p.H = kUnits, p.k = 0, p.R = kUnits;
  p.wx = wx.data(), p.entering = entering.data(), p.panels = p.panels_last = panels.data(), p.bias = bias.data();
  for (const float*& state_before : p.prev) state_before = previous.data();
  p.next[0] = h.data(), p.next[1] = p.next[2] = c.data();
  p.saved = saved.data();
  for (auto _ : state) {
    simd().recurrent<float>(Precision::f32).forward[state.range(0)](p);
    ::benchmark::ClobberMemory();
  }
  state.SetLabel(to_string(cell));
  state.SetItemsProcessed(state.iterations() * kRows * kUnits);
}
void gates_backward(::benchmark::State& state) {
  const auto cell = static_cast<CellKind>(state.range(0));
  const cells::CellTraits traits = cells::traits_of(cell);
  Aligned saved(kRows * traits.saved * kUnits), previous(kRows * kUnits), d_next(kRows * kUnits),
      d_prev(kRows * kUnits);
  Aligned d_wx(kRows * traits.gates * kUnits), d_rh(kRows * traits.gates * kUnits);
  StepBackward<float> p;
  p.units = {0, kUnits};
  p.rows = kRows, p.H = kUnits;
  p.saved = saved.data();
  for (int s = 0; s < 3; ++s) p.prev[s] = previous.data(), p.d_next[s] = d_next.data(), p.d_prev[s] = d_prev.data();
  p.d_wx = d_wx.data(), p.d_rh = d_rh.data();
  for (auto _ : state) {
    simd().recurrent<float>(Precision::f32).backward[state.range(0)](p);
    ::benchmark::ClobberMemory();
  }
  state.SetLabel(to_string(cell));
  state.SetItemsProcessed(state.iterations() * kRows * kUnits);
}
void cells_of(::benchmark::internal::Benchmark* b) {
  for (const CellKind cell : {CellKind::lstm, CellKind::gru, CellKind::elman}) b->Arg(static_cast<int>(cell));
}
BENCHMARK(gates_forward)->Apply(cells_of);
BENCHMARK(gates_backward)->Apply(cells_of);

/// Loss and gradient of one sequence, per frame. Argument: labels.
void ctc_frames(::benchmark::State& state) {
  const std::int64_t labels = state.range(0), frames = 4 * labels;
  const auto backend = std::make_shared<SteeredBackend>(device::make_cpu_backend(1));
  const Json row{{"T", frames}, {"N", 1}, {"C", 32}, {"U", labels}};
  const auto ctc = prepare_ctc({backend, Device(backend), Clock::wall}, row);
  for (auto _ : state) ctc->run();
  state.SetItemsProcessed(state.iterations() * frames);
}
BENCHMARK(ctc_frames)->Arg(20)->Arg(80)->Arg(300);

}  // namespace
}  // namespace seqgpu::benchmark

BENCHMARK_MAIN();
