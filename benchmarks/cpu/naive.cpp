// What a good programmer writes in a day: loops in C++ over OpenBLAS's products, gates vectorised by the compiler.
// Padded batches are computed whole. Usage: naive --threads N, then requests on stdin (support/contestant.hpp).
#include <cblas.h>

#include "benchmarks/support/contestant.hpp"
#include "naive_layer.hpp"

namespace seqgpu::benchmark {
namespace {

class Network final : public Prepared {
 public:
  Network(const Workload& w, const Setting& setting) : w_(w), clock_(setting.clock) {
    if (w.cell != "lstm" && w.cell != "gru" && w.cell != "elman") throw Unsupported("no such cell: " + w.cell);
    if (!w.variant.empty()) throw Unsupported("no " + w.variant);
    const auto rows = static_cast<std::size_t>(w.T) * static_cast<std::size_t>(w.N);
    activations_.push_back(random_values("x", rows * static_cast<std::size_t>(w.I)));
    for (int l = 0; l < w.layers; ++l) {
      for (int d = 0; d < w.directions; ++d) {
        layers_.emplace_back(w, l, d == 1, setting.threads, "_l" + std::to_string(l) + (d == 1 ? "_reverse" : ""));
      }
      activations_.emplace_back(rows * static_cast<std::size_t>(w.directions * w.H));
    }
    if (!w.training) return;
    for (const auto& values : activations_) gradients_.emplace_back(values.size());
    gradients_.back() = random_values("dy", gradients_.back().size());
  }

  double run() override {
    return seconds_of(clock_, [this] {
      const std::ptrdiff_t stride = w_.directions * w_.H;
      for (std::size_t i = 0; i < layers_.size(); ++i) {
        const std::size_t l = i / directions(), d = i % directions();
        layers_[i].forward(activations_[l].data(), activations_[l + 1].data(), stride,
                           static_cast<std::ptrdiff_t>(d) * w_.H);
      }
      for (std::size_t i = layers_.size(); w_.training && i-- > 0;) {
        const std::size_t l = i / directions(), d = i % directions();
        layers_[i].backward(activations_[l].data(), gradients_[l + 1].data(), stride,
                            static_cast<std::ptrdiff_t>(d) * w_.H, gradients_[l].data(), d + 1 < directions());
      }
    });
  }

  Results results() override {
    run();
    if (!w_.training) return {{"y", activations_.back()}};
    Results results{{"gradient of x", gradients_.front()}};
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const std::string suffix = "_l" + std::to_string(i / directions()) + (i % directions() == 1 ? "_reverse" : "");
      results.emplace_back("gradient of rnn.weight_ih" + suffix, layers_[i].d_w_ih);
      results.emplace_back("gradient of rnn.weight_hh" + suffix, layers_[i].d_w_hh);
      results.emplace_back("gradient of rnn.bias_ih" + suffix, layers_[i].d_b_ih);
      results.emplace_back("gradient of rnn.bias_hh" + suffix, layers_[i].d_b_hh);
    }
    return results;
  }

 private:
  std::size_t directions() const { return static_cast<std::size_t>(w_.directions); }

  Workload w_;
  Clock clock_;
  std::vector<NaiveLayer> layers_;               // layer-major
  std::vector<std::vector<float>> activations_;  // x, then y of each layer
  std::vector<std::vector<float>> gradients_;    // by the activations
};

}  // namespace
}  // namespace seqgpu::benchmark

int main(int argc, char** argv) {
  using namespace seqgpu::benchmark;
  return run_contestant(argc, argv, [](const Setting& setting) {
    openblas_set_num_threads(1);  // its callers are the threads
    return serve("naive", std::string("loops on ") + openblas_get_config(), [setting](const Json& row) {
      if (row.value("kind", "layer") != "layer") throw Unsupported("layers only");
      return std::make_unique<Network>(read_workload(row), setting);
    });
  });
}
