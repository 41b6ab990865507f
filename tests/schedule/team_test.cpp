#include "device/cpu/team.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "tests/support/serial_parallel.hpp"

namespace seqgpu::device::cpu {
namespace {

/// Each chunk of a phase reads what all chunks of the phase before wrote, plainly: a thread sanitizer sees a missing
/// wait.
struct Ring {
  explicit Ring(int chunks) : width(static_cast<std::size_t>(chunks)), cells(2 * width, 1) {}
  void operator()(int chunk, std::int64_t phase) {
    const auto* from = &cells[static_cast<std::size_t>(phase % 2) * width];
    auto* to = &cells[static_cast<std::size_t>((phase + 1) % 2) * width];
    std::uint64_t sum = static_cast<std::uint64_t>(chunk);
    for (std::size_t i = 0; i < width; ++i) sum = sum * 31 + from[i];
    to[static_cast<std::size_t>(chunk)] = sum;
  }
  std::size_t width;
  std::vector<std::uint64_t> cells;
};

template <class F>
void run(int chunks, std::int64_t phases, Parallel& parallel, F&& body) {
  Team team(chunks);
  parallel.for_each(chunks, [&](std::int64_t member) { team.join(static_cast<int>(member), phases, body); });
}

TEST(Team, RunsEveryChunkOfAPhaseBeforeTheNext) {
  for (const int chunks : {1, 2, 3, kMostChunks})
    for (const std::int64_t phases : {0, 1, 2, 500}) {
      Ring alone(chunks);
      for (std::int64_t phase = 0; phase < phases; ++phase)
        for (int chunk = 0; chunk < chunks; ++chunk) alone(chunk, phase);
      for (const int threads : {1, 2, 5}) {
        Ring ring(chunks);
        support::ThreadedParallel parallel(threads);
        run(chunks, phases, parallel, ring);
        EXPECT_EQ(ring.cells, alone.cells) << chunks << " chunks, " << phases << " phases, " << threads << " threads";
      }
    }
}

/// A thread that comes when it likes, or not at all.
class LateParallel final : public Parallel {
 public:
  explicit LateParallel(std::chrono::microseconds late) : late_(late) {}
  void run(std::int64_t tiles, Body body, void* context) override {
    std::thread helper([=, this] {
      std::this_thread::sleep_for(late_);
      for (std::int64_t i = 1; i < tiles; i += 2) body(context, i);
    });
    for (std::int64_t i = 0; i < tiles; i += 2) body(context, i);
    helper.join();
  }

 private:
  std::chrono::microseconds late_;
};

TEST(Team, WaitsForNobodyWhoHasNotJoined) {
  Ring alone(4);
  for (std::int64_t phase = 0; phase < 2000; ++phase)
    for (int chunk = 0; chunk < 4; ++chunk) alone(chunk, phase);
  for (const int late : {0, 20, 100, 300, 1000, 20000}) {
    Ring ring(4);
    LateParallel parallel{std::chrono::microseconds(late)};
    run(4, 2000, parallel, ring);
    EXPECT_EQ(ring.cells, alone.cells) << late;
  }
}

// More threads than cores: most of them have no core when it is their turn.
TEST(Team, GoesOnWithoutThoseWhoLostTheirCore) {
  Ring alone(8);
  for (std::int64_t phase = 0; phase < 3000; ++phase)
    for (int chunk = 0; chunk < 8; ++chunk) alone(chunk, phase);
  Ring ring(8);
  support::ThreadedParallel parallel(8);
  run(8, 3000, parallel, [&](int chunk, std::int64_t phase) {
    if ((phase * 7 + chunk) % 400 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ring(chunk, phase);
  });
  EXPECT_EQ(ring.cells, alone.cells);
}

}  // namespace
}  // namespace seqgpu::device::cpu
