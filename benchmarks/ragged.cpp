// What padding costs: one LSTM layer, training step, on batches that hold the same valid steps in different shapes.
//   equal      every sequence has length T, lengths given   / the same without lengths       expected: 1.0
//   half       lengths uniform in [T/10, T]                 / steps in proportion            expected: near 1.0
//   padded     the equal batch in tensors of 2T steps       / the equal batch                expected: near 1.0
// Contestants alternate (A B A B ...); the table shows medians and their ratio. Usage: ragged [T N I H repeats]
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "benchmarks/support/median.hpp"
#include "seqgpu/seqgpu.hpp"

namespace {

using namespace seqgpu;
using benchmark::median;

struct Case {
  std::int64_t T, N, I, H;
};

/// One layer with its trainer and a batch.
class Contestant {
 public:
  Contestant(const Device& device, const Case& c, std::int64_t padded_T, const std::vector<std::int32_t>& lengths)
      : parameters_(device, 1), lstm_(parameters_, "lstm", {.cell = CellKind::lstm, .input = c.I, .hidden = c.H}) {
    HostTensor x(DType::f32, Shape{padded_T, c.N, c.I});
    std::uint32_t state = 1;
    for (float& v : x.view<float>()) v = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f;
    batch_["x"] = std::move(x);
    const bool ragged = !lengths.empty();
    if (ragged) batch_["lengths"] = HostTensor::of(Shape{c.N}, lengths);
    trainer_ = std::make_unique<Trainer>(device, parameters_, Sgd{.rate = 0.f}, [this, ragged](Graph& g) {
      const Value input = g.input("x", DType::f32, {"T", "N", "I"});
      const Value l = ragged ? g.input("lengths", DType::i32, {"N"}) : Value{};
      return reduce_all(lstm_(input, l), Reduction::mean);
    });
  }

  double milliseconds() {
    const auto start = std::chrono::steady_clock::now();
    trainer_->step(batch_);
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }

 private:
  Parameters parameters_;
  nn::Recurrent lstm_;
  Batch batch_;
  std::unique_ptr<Trainer> trainer_;
};

/// @param share  valid steps of `a` over those of `b`
void compare(const char* name, Contestant& a, Contestant& b, double share, int repeats) {
  std::vector<double> ta, tb;
  for (int i = 0; i < 3; ++i) {
    a.milliseconds();
    b.milliseconds();
  }
  for (int i = 0; i < repeats; ++i) {
    ta.push_back(a.milliseconds());
    tb.push_back(b.milliseconds());
  }
  const double ma = median(ta), mb = median(tb);
  std::printf("| %-28s | %8.3f | %8.3f | %6.3f | %6.3f |\n", name, ma, mb, ma / mb, ma / mb / share);
}

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::int64_t fallback) { return argc > i ? std::atoll(argv[i]) : fallback; };
  const Case c{argument(1, 100), argument(2, 32), argument(3, 128), argument(4, 128)};
  const int repeats = static_cast<int>(argument(5, 31));
  const Device device = cpu_device();
  std::printf("%s; LSTM training step, T=%lld N=%lld I=%lld H=%lld, %d alternating repeats\n\n", device.name().c_str(),
              static_cast<long long>(c.T), static_cast<long long>(c.N), static_cast<long long>(c.I),
              static_cast<long long>(c.H), repeats);
  std::printf(
      "| A / B                        |     A ms |     B ms |    A/B | per valid step |\n|---|---|---|---|---|\n");

  const std::vector<std::int32_t> full(static_cast<std::size_t>(c.N), static_cast<std::int32_t>(c.T));
  std::vector<std::int32_t> ragged;
  std::int64_t valid = 0;
  for (std::int64_t n = 0; n < c.N; ++n) {
    const std::int64_t length = c.T / 10 + (c.T - c.T / 10) * n / std::max<std::int64_t>(1, c.N - 1);
    ragged.push_back(static_cast<std::int32_t>(length));
    valid += length;
  }
  Contestant plain(device, c, c.T, {}), equal(device, c, c.T, full), padded(device, c, 2 * c.T, full),
      uneven(device, c, c.T, ragged);
  compare("equal lengths / no lengths", equal, plain, 1.0, repeats);
  compare("padded to 2T / equal", padded, equal, 1.0, repeats);
  compare("uniform lengths / equal", uneven, equal, static_cast<double>(valid) / static_cast<double>(c.T * c.N),
          repeats);
}
