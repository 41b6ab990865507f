// The measured limit of a workload on this machine: its matrix products at the best rate that any candidate reaches for
// their shapes, its gate maths at the rate of a loop in the first-level cache, and the memory it cannot avoid at the
// rate of a copy of that size. docs/benchmarks.md has the formulas. Serves contest.py as the contestants do:
//   {"do": "limit", "row": {...}} -> {"seconds": s, "products_seconds": ..., "products": [...], ...}
//   {"do": "round trip"} -> {"seconds": of a line of memory to another core and back}
// Usage: limit --threads N
#include <omp.h>

#include <cmath>
#include <numeric>

#include "benchmarks/support/contestant.hpp"
#include "rates.hpp"
#include "round_trip.hpp"

namespace seqgpu::benchmark {
namespace {

constexpr double kFloat = sizeof(float);
// A longer product has the same rate: more rows would only take more time to measure.
constexpr std::ptrdiff_t kLongest = 1536;

class Limit {
 public:
  Limit(Rates& rates, int threads, const Workload& w) : rates_(rates), threads_(threads), w_(w) {
    const auto lengths = w.lengths();
    const double valid = std::accumulate(lengths.begin(), lengths.end(), 0.0);
    steps_ = w.ragged ? *std::max_element(lengths.begin(), lengths.end()) : w.T;
    rows_ = valid;
    active_ = std::max<std::ptrdiff_t>(1, std::lround(valid / steps_));
  }

  Json find() {
    for (int layer = 0; layer < w_.layers; ++layer) add_layer(w_.inputs(layer));
    const double cells = rows_ * w_.H * w_.layers * w_.directions;
    double gates = rates_.gates(w_.cell, false);
    if (w_.training) gates += rates_.gates(w_.cell, true);
    const double gate_seconds = gates * cells / threads_, memory_seconds = bytes_ / rates_.copy(bytes_);
    return {{"seconds", product_seconds_ + gate_seconds + memory_seconds},
            {"products_seconds", product_seconds_},
            {"gates_seconds", gate_seconds},
            {"memory_seconds", memory_seconds},
            {"flops", flops_},
            {"bytes", bytes_},
            {"products", products_}};
  }

 private:
  /// `count` products one after the other, in each direction, `share` of their rows being there.
  void add(const char* what, std::ptrdiff_t m, std::ptrdiff_t n, std::ptrdiff_t k, bool transposed, double flops) {
    const Product shape{std::min(m, kLongest), n, std::min(k, transposed ? kLongest : k), transposed};
    const Rate rate = rates_.product(shape, w_.directions);
    const double all = flops * w_.directions;
    flops_ += all;
    product_seconds_ += all / rate.flops;
    products_.push_back({{"what", what},
                         {"m", shape.m},
                         {"n", n},
                         {"k", shape.k},
                         {"gflops", rate.flops / 1e9},
                         {"best", rate.best},
                         {"seconds", all / rate.flops}});
  }

  void add_layer(std::ptrdiff_t I) {
    const std::ptrdiff_t H = w_.H, GH = w_.gates() * H, rows = std::lround(rows_);
    const bool projected = w_.variant == "projection" || w_.variant == "feedback";
    const std::ptrdiff_t R = w_.variant == "projection" ? H / 2 : H;
    const auto flops = [&](std::ptrdiff_t n, std::ptrdiff_t k) {
      return 2 * rows_ * static_cast<double>(n) * static_cast<double>(k);
    };
    const double weights = static_cast<double>(GH * (I + R) + (projected ? R * H : 0)) * kFloat * w_.directions;
    const double x = rows_ * static_cast<double>(I) * kFloat,
                 y = rows_ * static_cast<double>(R) * kFloat * w_.directions;
    add("x W", rows, GH, I, false, flops(GH, I));
    add("h R", active_, GH, R, false, flops(GH, R));
    if (projected) add("m P", active_, R, H, false, flops(R, H));
    bytes_ += x + y + weights;
    if (!w_.training) return;
    add("da R^T", active_, R, GH, false, flops(GH, R));
    add("da W^T", rows, I, GH, false, flops(GH, I));
    add("dW", GH, I, rows, true, flops(GH, I));
    add("dR", GH, R, rows, true, flops(GH, R));
    if (projected) {
      add("dh P^T", active_, H, R, false, flops(R, H));
      add("dP", R, H, rows, true, flops(R, H));
    }
    // Saved for backward and read there: the gates, c of the LSTM, the GRU's product. Read again: x, y, weights.
    // Read: dy. Written: dx, the weights' gradients.
    const int saved = w_.cell == "lstm" ? 5 : w_.cell == "gru" ? 4 : 0;
    bytes_ += 2 * rows_ * saved * static_cast<double>(H) * kFloat * w_.directions;
    bytes_ += 2 * x + 2 * y + 2 * weights;
  }

  Rates& rates_;
  int threads_;
  Workload w_;
  int steps_;
  double rows_;            // valid steps of all sequences
  std::ptrdiff_t active_;  // sequences in a step, on average
  double product_seconds_ = 0, flops_ = 0, bytes_ = 0;
  Json products_ = Json::array();
};

/// Logits are read once, and their gradient is written once.
Json ctc_limit(Rates& rates, const Json& row) {
  const double bytes = 2 * row.at("T").get<double>() * row.at("N").get<double>() * row.at("C").get<double>() * kFloat;
  const double seconds = bytes / rates.copy(bytes);
  return {{"seconds", seconds}, {"memory_seconds", seconds}, {"bytes", bytes}};
}

Json answer(Rates& rates, int threads, const Json& request) {
  if (request.at("do") == "round trip") {
    if (threads < 2) throw Unsupported("one thread has no other core");
    return {{"seconds", round_trip()}};
  }
  if (request.at("do") != "limit") return Json::object();
  const Json& row = request.at("row");
  const std::string kind = row.value("kind", "layer");
  if (kind == "ctc") return ctc_limit(rates, row);
  if (kind != "layer") throw Unsupported("no limit is defined for a " + kind);
  if (row.value("variant", "") == "bf16") throw Unsupported("rates are those of f32");
  return Limit(rates, threads, read_workload(row)).find();
}

}  // namespace
}  // namespace seqgpu::benchmark

int main(int argc, char** argv) {
  using namespace seqgpu::benchmark;
  return run_contestant(argc, argv, [](const Setting& setting) {
    omp_set_num_threads(setting.threads);
    Rates rates(setting.threads, setting.clock);
    return serve_requests("limit", "", [&](const Json& request) { return answer(rates, setting.threads, request); });
  });
}
