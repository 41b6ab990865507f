// No contestant, but what this GPU allows: for each layer of the list, in each precision, its matrix products at the
// best rate that cuBLAS reaches for their shapes, and the bytes that it must move at the rate of a copy. The report
// adds the model of a step that keeps its weights on the chip (benchmarks/report/persistent_step.py). Records, besides
// one of the device: {"kind": "gpu limit", workload, pass, precision, "products": [{what, m, n, k, times, tflops, us}],
// "at_once_us", "steps_us", "bytes"}; at_once: products of all steps at once; steps: those of each step. Usage: limit
// --workloads FILE --records FILE [--budget SECONDS]
#include <cmath>
#include <numeric>

#include "gemm_rates.hpp"
#include "support.hpp"

namespace {

using namespace seqgpu::benchmark;

// A longer product has the same rate, and would only take more time to measure.
constexpr std::int64_t kLongest = 8192;

class Limit {
 public:
  Limit(GemmRates& rates, const Workload& w, const GemmType& type) : rates_(rates), w_(w), type_(type) {
    const auto lengths = w.lengths();
    rows_ = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
    steps_ = *std::max_element(lengths.begin(), lengths.end());
    active_ = std::max<std::int64_t>(1, std::llround(static_cast<double>(rows_) / static_cast<double>(steps_)));
  }

  Json find(bool training) {
    for (int layer = 0; layer < w_.layers; ++layer) add_layer(w_.inputs(layer), training);
    Json record = time_record("limit", w_, training ? "train" : "forward", type_.name, "");
    record["kind"] = "gpu limit";
    record["steps"] = steps_;
    record["active"] = active_;
    record["products"] = products_;
    record["at_once_us"] = at_once_us_;
    record["steps_us"] = steps_us_;
    record["bytes"] = bytes_;
    return record;
  }

 private:
  /// @param times  how often one after the other; both directions do it at once
  double add(const char* what, Gemm gemm, std::int64_t times) {
    const double flops =
        2.0 * static_cast<double>(gemm.m) * static_cast<double>(gemm.n) * static_cast<double>(gemm.k) * w_.directions;
    gemm.n = std::min(gemm.n, kLongest);
    gemm.k = std::min(gemm.k, kLongest);
    gemm.batch = w_.directions;
    const double rate = rates_.best(gemm, type_);  // floating-point operations a microsecond
    const double us = flops / rate * static_cast<double>(times);
    products_.push_back({{"what", what},
                         {"m", gemm.m},
                         {"n", gemm.n},
                         {"k", gemm.k},
                         {"times", times},
                         {"tflops", rate * 1e-6},
                         {"us", us}});
    return us;
  }

  // In cuBLAS's order, by columns: what is [rows, width] to us is a matrix of `width` rows.
  void add_layer(std::int64_t I, bool training) {
    const std::int64_t H = w_.H, GH = w_.gates() * H;
    at_once_us_ += add("x W", {.m = GH, .n = rows_, .k = I, .transpose_a = true}, 1);
    steps_us_ += add("h R", {.m = GH, .n = active_, .k = H, .transpose_a = true}, steps_);
    const double element = type_.bytes, x = element * static_cast<double>(rows_ * I),
                 y = element * static_cast<double>(rows_ * H * w_.directions),
                 weights = element * static_cast<double>(GH * (I + H) * w_.directions);
    bytes_ += x + y + weights;
    if (!training) return;
    steps_us_ += add("da R^T", {.m = H, .n = active_, .k = GH}, steps_);
    at_once_us_ += add("da W^T", {.m = I, .n = rows_, .k = GH}, 1);
    at_once_us_ += add("dW", {.m = I, .n = GH, .k = rows_, .transpose_b = true}, 1);
    at_once_us_ += add("dR", {.m = H, .n = GH, .k = rows_, .transpose_b = true}, 1);
    // Saved for backward and read there: the gates, c of the LSTM, the GRU's product. Read again: x, y, weights.
    // Read: dy. Written: dx, the weights' gradients.
    const int saved = w_.cell == "lstm" ? 5 : w_.cell == "gru" ? 4 : 0;
    bytes_ += 2 * saved * y + 2 * x + 2 * y + 2 * weights;
  }

  GemmRates& rates_;
  Workload w_;
  GemmType type_;
  std::int64_t rows_, steps_, active_;  // valid steps of all sequences; of the longest; sequences in a step, on average
  double at_once_us_ = 0, steps_us_ = 0, bytes_ = 0;
  Json products_ = Json::array();
};

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--workloads", ""}, {"--records", ""}, {"--budget", "1e9"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  GemmRates rates;
  int khz = 0, multiprocessors = 0;
  check(cudaDeviceGetAttribute(&khz, cudaDevAttrClockRate, 0), "cudaDevAttrClockRate");
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, 0), "cudaDevAttrMultiProcessorCount");
  records.write(Json{{"kind", "rates"},
                     {"copy_gbps", rates.copy_gbps()},
                     {"sm_mhz", khz / 1000},
                     {"multiprocessors", multiprocessors}});
  for (const Workload& w : read_workloads(arguments["--workloads"], "gpu")) {
    for (const GemmType& type : {kGemmBf16, kGemmF32, kGemmTf32}) {
      for (const bool training : {false, true}) {
        const char* pass = training ? "train" : "forward";
        try {
          if (budget.spent()) throw std::runtime_error("the time budget is spent");
          records.write(Limit(rates, w, type).find(training));
        } catch (const std::exception& error) {
          records.write(left_out("limit", w, pass, type.name, "", budget.spent() ? "no time" : "failed", error.what()));
        }
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("limit", [&] { run(argc, argv); });
}
