// The kernels of `cluster-persistent` by themselves, where the emulator runs them: what a caller of the device cannot
// ask for, tiles of a given size and both directions in one launch.
#if defined(SEQGPU_TEST_EMULATED)

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "emulator/execution.hpp"
#include "kernels/math/philox.hpp"
#include "kernels/recurrent/cluster_launch.hpp"

namespace seqgpu {
namespace {

using kernels::ClusterPlan;
using kernels::ScanBackward;
using kernels::ScanForward;

/// Device memory of one scan.
class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  ~Memory() {
    for (void* p : allocations_) cudaFree(p);
  }
  template <class T>
  T* upload(const std::vector<T>& values) {
    void* p = nullptr;
    EXPECT_EQ(cudaMalloc(&p, values.size() * sizeof(T)), cudaSuccess);
    EXPECT_EQ(cudaMemcpy(p, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice), cudaSuccess);
    allocations_.push_back(p);
    return static_cast<T*>(p);
  }
  float* poisoned(std::size_t count) {
    return upload(std::vector<float>(count, std::numeric_limits<float>::quiet_NaN()));
  }

 private:
  std::vector<void*> allocations_;
};

std::vector<float> download(const float* from, std::size_t count) {
  std::vector<float> to(count);
  EXPECT_EQ(cudaMemcpy(to.data(), from, count * sizeof(float), cudaMemcpyDeviceToHost), cudaSuccess)
      << emulator::last_error();
  return to;
}

/// A random number for each key, whatever else is asked for: a sequence has the same inputs in any batch.
float value(unsigned tensor, unsigned sequence, std::size_t index, float scale) {
  return (2 * math::uniform(1, tensor, sequence, index) - 1) * scale;
}

/// Forward and backward of sequences [first, first + N), with lengths, resets, a mask and initial states.
struct Case {
  static constexpr std::size_t T = 6, H = 40;

  Case(CellKind cell, Precision precision, bool reverse, unsigned first_, std::size_t N_)
      : traits(cells::traits_of(cell)), first(first_), N(N_) {
    const std::size_t G = count(traits.gates), S = count(traits.states);
    forward.cell = cell, forward.precision = precision, forward.reverse = reverse;
    forward.options.peephole = cell == CellKind::lstm;
    forward.T = T, forward.N = static_cast<std::int64_t>(N), forward.H = forward.R = H;
    forward.w_hh = memory->upload(shared(0, H * G * H, 0.2f));
    forward.b_ih = memory->upload(shared(1, H * G, 0.5f));
    forward.b_hh = memory->upload(shared(2, H * G, 0.5f));
    if (forward.options.peephole) forward.unit = memory->upload(shared(3, count(traits.unit_parameters) * H, 0.5f));
    forward.wx = memory->upload(by_step(4, H * G));
    forward.mask = memory->upload(by_sequence(5, H));
    std::vector<std::int32_t> lengths, resets(T * N);
    for (std::size_t n = 0; n < N; ++n) lengths.push_back(static_cast<std::int32_t>((first + n) * 5 % (T + 1)));
    for (std::size_t t = 0; t < T; ++t)
      for (std::size_t n = 0; n < N; ++n) resets[t * N + n] = (t * 3 + first + n) % 5 == 0;
    forward.lengths = memory->upload(lengths);
    forward.resets = memory->upload(resets);
    forward.y = memory->poisoned(T * N * H);
    for (std::size_t s = 0; s < S; ++s) {
      forward.initial[s] = memory->upload(by_sequence(6 + static_cast<unsigned>(s), H));
      forward.final[s] = memory->poisoned(N * H);
      forward.reserve.previous[s] = memory->poisoned(T * N * H);
    }
    forward.reserve.entering = memory->poisoned(T * N * H);
    forward.reserve.saved = memory->poisoned(T * N * count(traits.saved) * H);

    static_cast<kernels::Scan&>(backward) = forward;
    backward.reserve = forward.reserve;
    backward.d_y = memory->upload(by_step(10, H));
    backward.d_wx = memory->poisoned(T * N * H * G);
    backward.d_rh = traits.split_gradient ? memory->poisoned(T * N * H * G) : backward.d_wx;
    for (std::size_t s = 0; s < S; ++s) {
      backward.d_final[s] = memory->upload(by_sequence(11 + static_cast<unsigned>(s), H));
      backward.d_initial[s] = memory->poisoned(N * H);
    }
    if (forward.options.peephole) backward.d_unit = memory->poisoned(N * count(traits.unit_parameters) * H);
  }

  ClusterPlan plan(int tile) const {
    ClusterPlan p =
        kernels::plan_cluster({.cell = forward.cell, .precision = forward.precision, .N = forward.N, .H = H},
                              {.compute_capability = 90,
                               .multiprocessors = 4,
                               .cluster_blocks = 8,
                               .shared_bytes_per_block = 232448,
                               .registers_per_multiprocessor = 65536});
    EXPECT_EQ(p.refusal, "");
    p.tile = tile;
    return p;
  }

  /// Every result of one sequence of the batch, by tensor.
  std::vector<std::vector<float>> results(std::size_t n) const {
    std::vector<std::vector<float>> all;
    const std::size_t G = count(traits.gates);
    all.push_back(column(forward.y, H, n));
    all.push_back(column(forward.reserve.entering, H, n));
    all.push_back(column(forward.reserve.saved, count(traits.saved) * H, n));
    all.push_back(column(backward.d_wx, H * G, n));
    all.push_back(column(backward.d_rh, H * G, n));
    for (std::size_t s = 0; s < count(traits.states); ++s) {
      all.push_back(column(forward.reserve.previous[s], H, n));
      all.push_back(row(forward.final[s], H, n));
      all.push_back(row(backward.d_initial[s], H, n));
    }
    if (backward.d_unit) all.push_back(row(backward.d_unit, count(traits.unit_parameters) * H, n));
    return all;
  }

  static std::size_t count(int n) { return static_cast<std::size_t>(n); }
  std::vector<float> shared(unsigned tensor, std::size_t size, float scale) const {
    std::vector<float> v;
    for (std::size_t i = 0; i < size; ++i) v.push_back(value(tensor, 1000, i, scale));
    return v;
  }
  std::vector<float> by_sequence(unsigned tensor, std::size_t width) const {
    std::vector<float> v;
    for (std::size_t n = 0; n < N; ++n)
      for (std::size_t i = 0; i < width; ++i) v.push_back(value(tensor, first + static_cast<unsigned>(n), i, 1.f));
    return v;
  }
  std::vector<float> by_step(unsigned tensor, std::size_t width) const {
    std::vector<float> v;
    for (std::size_t t = 0; t < T; ++t)
      for (std::size_t n = 0; n < N; ++n)
        for (std::size_t i = 0; i < width; ++i)
          v.push_back(value(tensor, first + static_cast<unsigned>(n), t * width + i, 1.f));
    return v;
  }
  std::vector<float> row(const float* from, std::size_t width, std::size_t n) const {
    const auto all = download(from, N * width);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(n * width);
    return {begin, begin + static_cast<std::ptrdiff_t>(width)};
  }
  std::vector<float> column(const float* from, std::size_t width, std::size_t n) const {
    const auto all = download(from, T * N * width);
    std::vector<float> v;
    for (std::size_t t = 0; t < T; ++t)
      for (std::size_t i = 0; i < width; ++i) v.push_back(all[(t * N + n) * width + i]);
    return v;
  }

  cells::CellTraits traits;
  unsigned first;
  std::size_t N;
  std::unique_ptr<Memory> memory = std::make_unique<Memory>();
  ScanForward forward;
  ScanBackward backward;
};

constexpr CellKind kOnePhase[] = {CellKind::elman, CellKind::lstm, CellKind::gru};

void run(Case& c, int tile) {
  kernels::cluster_forward(&c.forward, 1, c.plan(tile), nullptr);
  kernels::cluster_backward(&c.backward, 1, c.plan(tile), nullptr);
}

TEST(ClusterScan, BitsOfASequenceDoNotDependOnItsBatch) {
  for (const CellKind cell : kOnePhase)
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      Case batch(cell, precision, true, 0, 9);
      run(batch, 8);
      for (const int tile : {1, 3}) {
        Case again(cell, precision, true, 0, 9);
        run(again, tile);
        for (std::size_t n = 0; n < 9; ++n) EXPECT_EQ(again.results(n), batch.results(n)) << tile << " " << n;
      }
      for (const unsigned n : {3u, 8u}) {
        Case alone(cell, precision, true, n, 1);
        run(alone, 1);
        EXPECT_EQ(alone.results(0), batch.results(n)) << to_string(cell) << " " << to_string(precision) << " " << n;
      }
    }
}

TEST(ClusterScan, RunsBothDirectionsInOneLaunch) {
  for (const CellKind cell : kOnePhase)
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      Case forward(cell, precision, false, 0, 5), reverse(cell, precision, true, 7, 5);
      run(forward, 3);
      run(reverse, 3);
      Case left(cell, precision, false, 0, 5), right(cell, precision, true, 7, 5);
      const ScanForward forwards[] = {left.forward, right.forward};
      const ScanBackward backwards[] = {left.backward, right.backward};
      kernels::cluster_forward(forwards, 2, left.plan(3), nullptr);
      kernels::cluster_backward(backwards, 2, left.plan(3), nullptr);
      for (std::size_t n = 0; n < 5; ++n) {
        EXPECT_EQ(left.results(n), forward.results(n)) << to_string(cell) << " " << to_string(precision);
        EXPECT_EQ(right.results(n), reverse.results(n)) << to_string(cell) << " " << to_string(precision);
      }
    }
}

TEST(ClusterScan, ComputesWhatIsWantedAlone) {
  for (const CellKind cell : kOnePhase) {
    Case all(cell, Precision::f32, false, 0, 3), few(cell, Precision::f32, false, 0, 3);
    run(all, 2);
    few.forward.y = nullptr;  // inference that only wants the last state
    few.forward.reserve = {};
    few.forward.final[1] = nullptr;
    kernels::cluster_forward(&few.forward, 1, few.plan(2), nullptr);
    for (std::size_t n = 0; n < 3; ++n)
      EXPECT_EQ(few.row(few.forward.final[0], Case::H, n), all.row(all.forward.final[0], Case::H, n));
    few.backward.reserve = all.forward.reserve;
    few.backward.d_initial[0] = few.backward.d_initial[1] = nullptr;
    kernels::cluster_backward(&few.backward, 1, few.plan(2), nullptr);
    const std::size_t width = Case::H * Case::count(all.traits.gates);
    for (std::size_t n = 0; n < 3; ++n)
      EXPECT_EQ(few.column(few.backward.d_wx, width, n), all.column(all.backward.d_wx, width, n));
  }
}

}  // namespace
}  // namespace seqgpu

#endif
