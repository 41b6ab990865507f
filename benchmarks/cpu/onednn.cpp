// oneDNN's RNN primitives as a contestant: one primitive a layer, both directions in it, layouts of its choice.
//   forward   weights are brought into oneDNN's layout before the clock starts
//   train     forward in training mode, backward from dy. Weights change from step to step, so the clock covers
//   bringing
//             them into the layouts of both passes and clearing the gradients, into which oneDNN adds
// It knows no lengths: a ragged batch is computed whole. One direction gets the same results so; two do not.
// Usage: onednn --threads N, then requests on stdin (support/contestant.hpp).
#include <omp.h>

#include <oneapi/dnnl/dnnl.hpp>

#include "benchmarks/support/contestant.hpp"
#include "onednn_layer.hpp"

namespace seqgpu::benchmark {
namespace {

class Network final : public Prepared {
 public:
  Network(const Workload& w, Clock clock) : w_(w), clock_(clock), lengths_(w.lengths()) {
    if (!w.variant.empty()) throw Unsupported("no " + w.variant);
    if (w.ragged && w.directions == 2) throw Unsupported("knows no lengths, which the reverse direction needs");
    const auto rows = static_cast<std::size_t>(w.T) * static_cast<std::size_t>(w.N);
    const auto width = static_cast<std::size_t>(w.directions * w.H);
    activations_.push_back(random_values("x", rows * static_cast<std::size_t>(w.I)));
    for (int l = 0; l < w.layers; ++l) activations_.emplace_back(rows * width);
    if (w.training) {
      for (const auto& values : activations_) gradients_.emplace_back(values.size());
      gradients_.back() = random_values("dy", rows * width);
      zero_padding(gradients_.back());
    }
    for (int l = 0; l < w.layers; ++l) {
      const auto at = static_cast<std::size_t>(l);
      layers_.push_back(std::make_unique<OnednnLayer>(
          engine_, stream_, w, l, activations_[at].data(), activations_[at + 1].data(),
          w.training ? gradients_[at].data() : nullptr, w.training ? gradients_[at + 1].data() : nullptr));
    }
  }

  double run() override {
    return seconds_of(clock_, [this] {
      for (const auto& layer : layers_) layer->forward();
      for (std::size_t l = layers_.size(); w_.training && l-- > 0;) layers_[l]->backward();
      stream_.wait();
    });
  }

  Results results() override {
    run();
    if (!w_.training) {
      std::vector<float> y = activations_.back();
      zero_padding(y);
      return {{"y", std::move(y)}};
    }
    Results results{{"gradient of x", gradients_.front()}};
    for (const auto& layer : layers_) layer->append_gradients(results);
    return results;
  }

 private:
  /// Steps past a sequence's end hold no gradient and no output.
  void zero_padding(std::vector<float>& rows) const {
    const auto width = static_cast<std::ptrdiff_t>(rows.size()) / (w_.T * w_.N);
    for (std::ptrdiff_t n = 0; n < w_.N; ++n) {
      for (std::ptrdiff_t t = lengths_[static_cast<std::size_t>(n)]; t < w_.T; ++t) {
        std::fill_n(rows.begin() + (t * w_.N + n) * width, width, 0.f);
      }
    }
  }

  Workload w_;
  Clock clock_;
  std::vector<std::int32_t> lengths_;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  std::vector<std::vector<float>> activations_, gradients_;  // x, then y of each layer
  std::vector<std::unique_ptr<OnednnLayer>> layers_;
};

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch);
}

}  // namespace
}  // namespace seqgpu::benchmark

int main(int argc, char** argv) {
  using namespace seqgpu::benchmark;
  return run_contestant(argc, argv, [](const Setting& setting) {
    omp_set_num_threads(setting.threads);
    return serve("onednn", version(), [setting](const Json& row) {
      if (row.value("kind", "layer") != "layer") throw Unsupported("layers only");
      return std::make_unique<Network>(read_workload(row), setting.clock);
    });
  });
}
