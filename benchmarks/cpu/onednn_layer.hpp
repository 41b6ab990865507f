#pragma once

#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "benchmarks/support/results.hpp"
#include "benchmarks/support/workload.hpp"

// One layer of oneDNN (version 2), in one direction or both at once.
namespace seqgpu::benchmark {

class OnednnLayer {
 public:
  /// @param x, y, dx, dy  [T, N, width] buffers that outlive the layer; the gradients only for training
  OnednnLayer(const dnnl::engine& engine, const dnnl::stream& stream, const Workload& w, int layer, float* x, float* y,
              float* dx, float* dy);

  void forward();
  void backward();
  /// The gradients of its weights as the others have them: PyTorch's layout and gate order.
  void append_gradients(Results& results);

 private:
  using Arguments = std::unordered_map<int, dnnl::memory>;
  /// A weight as its user keeps it ([direction, G*H, width], gates in oneDNN's order), and as the primitives want it.
  struct Weight {
    dnnl::memory plain, forward, backward, gradient;
  };

  Weight make_weight(const std::string& name, std::int64_t width) const;
  void make_bias();
  template <class Kind>
  void make_primitives();
  void append(Results& results, const std::string& name, Weight& weight, std::int64_t width);
  std::string suffix(std::int64_t direction) const;
  std::size_t block(std::size_t ours) const;  // where a gate of ours is in oneDNN's order

  dnnl::engine engine_;
  dnnl::stream stream_;
  Workload w_;
  std::int64_t I_, H_, G_, D_, layer_;
  Arguments forward_arguments_, backward_arguments_;
  Weight w_layer_, w_iter_;
  dnnl::memory bias_, d_bias_;
  dnnl::primitive forward_, backward_;
};

}  // namespace seqgpu::benchmark
