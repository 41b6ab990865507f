#pragma once

#include <functional>
#include <memory>
#include <string>

#include "seqgpu/graph.hpp"
#include "seqgpu/optim.hpp"
#include "seqgpu/parameters.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu {

struct StepReport {
  float loss = 0.f;
  float gradient_norm = 0.f;         ///< before clipping
  bool skipped = false;              ///< the gradient was not finite: parameters and moments are untouched
  std::string non_finite_parameter;  ///< with skipped: the first parameter whose gradient is not finite
  std::int64_t skipped_total = 0;
};

struct TrainerOptions {
  /// What a trainer may hold on the device in bytes: parameters, gradients, moments, and the arena of a step. 0: no
  /// limit. A plan that needs more has its recurrent layers keep their states only now and then on the CPU, and run
  /// forward again in backward (Gruslys et al. 2016): the same bits for one forward scan more. On CUDA they keep
  /// everything.
  std::int64_t memory_bytes = 0;
};

/// Plans a whole training step (forward, backward, optimiser) once per batch shape and replays it.
class SEQGPU_API Trainer {
 public:
  /// @param build  describes one step: takes inputs from the graph and returns the scalar loss
  /// @throws Error{invalid_argument} if options.memory_bytes is negative
  Trainer(const Device& device, Parameters& parameters, const Optimizer& optimizer, std::function<Value(Graph&)> build,
          const TrainerOptions& options = {});
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// One step. @return the loss before the update
  /// @throws Error naming the input that does not fit; Error{out_of_memory} if the batch's plan exceeds
  /// TrainerOptions::memory_bytes, after which smaller batches still run
  float step(const Batch& batch);
  const StepReport& report() const;
  /// Graph outputs of the last step.
  HostTensor output(const std::string& name) const;
  /// The gradient of a parameter as of the last step, before clipping.
  HostTensor gradient(const std::string& name) const;

  /// The factor a schedule puts on the optimiser's rate from the next step on.
  void set_rate_factor(float factor);
  std::int64_t steps() const;

  /// The plan for this batch's shape, printed: order, streams, offsets, bytes, peak.
  std::string describe(const Batch& batch);
  /// Why each node runs where it does: implementation chosen, why others were not, and what runs again in backward.
  std::string explain(const Batch& batch);
  /// What this trainer holds on the device once this batch's shape is planned, in bytes: the arena at its largest,
  /// parameters, gradients and moments. Equals Device::memory().peak when nothing else lives there.
  std::int64_t predicted_peak_bytes(const Batch& batch);
  /// Records the next step's timeline. @return Chrome trace JSON (chrome://tracing)
  std::string trace(const Batch& batch);

  /// Moments, averages, counters: all that an exact resume needs beside the parameters.
  TensorMap state() const;
  void restore(const TensorMap& state);
  /// Moving average of the parameters; empty unless ema_decay > 0.
  TensorMap averaged() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Runs a graph without gradients, once per batch shape planned. On the CPU it keeps a packed copy of the weights, made
/// at the first run and again at the first after a parameter has changed.
class SEQGPU_API Session {
 public:
  /// @param build  declares inputs and calls Graph::output for what run() shall return
  Session(const Device& device, const Parameters& parameters, std::function<void(Graph&)> build);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  TensorMap run(const Batch& batch);
  /// Why each node runs where it does: implementation chosen, and why others were not.
  std::string explain(const Batch& batch);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seqgpu
