#pragma once

#include <memory>
#include <string>

#include "benchmarks/support/backpropagation.hpp"
#include "expected.hpp"
#include "seqgpu/seqgpu.hpp"

// Recurrent layers through the public API, in any precision and on any device.
namespace seqgpu::benchmark {

enum class Pass { forward, train };
inline const char* name_of(Pass pass) { return pass == Pass::forward ? "forward" : "train"; }

/// The parameters of a workload, x and dy among them, so that they lie on the device as in the other contestants. They
/// have the numbers that all contestants make by the names of the tensors (support/random_data.hpp).
class LayerParameters {
 public:
  LayerParameters(const Device& device, const Workload& w);

  const Workload& workload() const { return w_; }
  Parameters& all() { return parameters_; }
  const Batch& batch() const { return batch_; }  // the lengths of a ragged batch
  /// y [T, N, directions*H]
  Value layers(Graph& g, Precision precision) const;

 private:
  Workload w_;
  Parameters parameters_;
  Batch batch_;
};

/// One pass over the layers in one precision.
///   forward   a Session
///   train     forward, and backward from dy to the gradients of weights, biases and x
class LayerPass {
 public:
  /// @param p  outlives it  @param whole  all of y is an output, or only its last step, so that no time goes to copies
  LayerPass(const Device& device, LayerParameters& p, Precision precision, Pass pass, bool whole);

  void run();
  /// y, or the gradients; runs it.
  Results results();
  /// @return which implementations a forward pass takes, and why
  std::string explain() const { return session_->explain(p_.batch()); }

 private:
  LayerParameters& p_;
  std::unique_ptr<Backpropagation> train_;
  std::unique_ptr<Session> session_;
};

}  // namespace seqgpu::benchmark
