// What a memory budget costs: an LSTM over T steps of which the loss sees the last state, trained as planned and within
// a tenth of that memory. Contestants alternate (A B A B ...); the table shows peaks, medians and whether the losses
// are the same bits. Usage: memory_budget [T N I H repeats]
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

class Contestant {
 public:
  Contestant(std::int64_t I, std::int64_t H, std::int64_t memory_bytes)
      : device_(cpu_device()),
        parameters_(device_, 1),
        lstm_(parameters_, "lstm", {.cell = CellKind::lstm, .input = I, .hidden = H}),
        trainer_(device_, parameters_, Adam{.rate = 1e-3f},
                 [this](Graph& g) {
                   const Value h = lstm_.run(g.input("x", DType::f32, {"T", "N", "I"}), {}, {}, {}).final[0];
                   return reduce_all(mul(h, h), Reduction::mean);
                 },
                 {.memory_bytes = memory_bytes}) {}

  double milliseconds(const Batch& batch) {
    const auto start = std::chrono::steady_clock::now();
    losses_.push_back(trainer_.step(batch));
    return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  }
  std::int64_t planned(const Batch& batch) { return trainer_.predicted_peak_bytes(batch); }
  std::int64_t measured() const { return device_.memory().peak; }
  const std::vector<float>& losses() const { return losses_; }
  std::string device() const { return device_.name(); }

 private:
  Device device_;
  Parameters parameters_;
  nn::Recurrent lstm_;
  Trainer trainer_;
  std::vector<float> losses_;
};

}  // namespace

int main(int argc, char** argv) {
  const auto argument = [&](int i, std::int64_t fallback) { return argc > i ? std::atoll(argv[i]) : fallback; };
  const std::int64_t T = argument(1, 10000), N = argument(2, 16), I = argument(3, 16), H = argument(4, 128);
  const int repeats = static_cast<int>(argument(5, 9));
  HostTensor x(DType::f32, Shape{T, N, I});
  std::uint32_t state = 1;
  for (float& v : x.view<float>())
    v = static_cast<float>((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
  Batch batch;
  batch["x"] = std::move(x);

  Contestant whole(I, H, 0);
  const std::int64_t budget = whole.planned(batch) / 10;
  Contestant within(I, H, budget);
  std::vector<double> a, b;
  for (int i = 0; i < repeats + 2; ++i) {
    const double ta = whole.milliseconds(batch), tb = within.milliseconds(batch);
    if (i >= 2) a.push_back(ta), b.push_back(tb);
  }
  std::printf("%s; LSTM training step, T=%lld N=%lld I=%lld H=%lld, %d alternating repeats\n\n", whole.device().c_str(),
              static_cast<long long>(T), static_cast<long long>(N), static_cast<long long>(I),
              static_cast<long long>(H), repeats);
  std::printf("| plan | peak MB | median ms | ratio |\n|---|---|---|---|\n");
  std::printf("| as planned | %.1f | %.1f | 1 |\n", static_cast<double>(whole.measured()) * 1e-6, median(a));
  std::printf("| within %.1f MB | %.1f | %.1f | %.2f |\n", static_cast<double>(budget) * 1e-6,
              static_cast<double>(within.measured()) * 1e-6, median(b), median(b) / median(a));
  std::printf("\nlosses: %s\n", whole.losses() == within.losses() ? "the same bits" : "DIFFERENT");
  return whole.losses() == within.losses() ? 0 : 1;
}
