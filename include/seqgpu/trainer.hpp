#pragma once

#include <functional>
#include <memory>
#include <string>

#include "seqgpu/graph.hpp"
#include "seqgpu/optim.hpp"
#include "seqgpu/parameters.hpp"
#include "seqgpu/tensor.hpp"

namespace seqgpu {

/// What backward starts from: a scalar loss; or a value of any shape together with the gradient of a loss by it, where
/// that loss is known elsewhere (PyTorch's `y.backward(dy)`).
struct Objective {
  Value value;
  Value gradient;  ///< of the shape and dtype of `value`, and taken for a constant; absent: `value` is the loss

  Objective(Value loss) : value(loss) {}  // implicit: a function that returns a Value describes a loss
  Objective(Value v, Value d) : value(v), gradient(d) {}
};

struct StepReport {
  float loss = 0.f;                  ///< NaN where the Objective came with its gradient
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
  /// Plans kept at most. One is made for each shape of batch, and for each of step(), backward() and accumulate() that
  /// met it (two for accumulate()); above the limit that which was not used for the longest time goes, and is made
  /// again when its shape comes back: the same bits, for the time that planning takes. All share one arena, so that a
  /// plan is tens to hundreds of kilobytes of host memory, and on CUDA a captured graph. At least 1.
  std::int64_t max_plans = 256;
};

/// Plans a whole training step (forward, backward, optimiser) once per batch shape and replays it.
///
///     trainer.step(batch);                 // one update
///
///     trainer.accumulate(half, 0.5f);      // or one update from several batches
///     trainer.accumulate(other, 0.5f);
///     trainer.update();
///
///     trainer.backward(batch);             // or gradients alone
///     TensorMap gradients = trainer.gradients();
class SEQGPU_API Trainer {
 public:
  /// @param build  describes one step: takes inputs from the graph and returns the scalar loss, or another Objective
  /// @throws Error{invalid_argument} if options.memory_bytes is negative or options.max_plans below 1
  Trainer(const Device& device, Parameters& parameters, const Optimizer& optimizer,
          std::function<Objective(Graph&)> build, const TrainerOptions& options = {});
  ~Trainer();
  Trainer(const Trainer&) = delete;
  Trainer& operator=(const Trainer&) = delete;

  /// One step. @return the loss before the update
  /// @throws Error naming the input that does not fit; Error{out_of_memory} if the batch's plan exceeds
  /// TrainerOptions::memory_bytes, after which smaller batches still run; Error{invalid_argument} while accumulated
  /// gradients wait for update()
  float step(const Batch& batch);

  /// Forward and backward without an update: no parameter, moment, average or counter changes, nor what was
  /// accumulated, and report() stays. The gradients are, to the bit, those that step() would make of this batch now,
  /// with the same dropout masks: calls in a row draw the same, and a trainer that goes on does so as if this had not
  /// been called. Gradients stay on the device, among the outputs, until gradient() or gradients() asks; only the loss
  /// comes to the host.
  /// @return the loss; NaN where the Objective came with its gradient. output("loss") has it in the parameters' dtype
  /// @throws Error as step() does, but never for what was accumulated
  float backward(const Batch& batch);

  /// backward(), whose gradients times `weight` are added to what was accumulated since the last update. With losses
  /// that are means, weights that sum to 1 (each batch's share of what the mean is over) make several batches one: up
  /// to rounding, the gradient of the whole. The first batch of an update draws the dropout masks of step(), each
  /// further one its own. `accumulate(batch); update();` is step(batch), to the bit.
  /// @return the loss of this batch, not weighted
  /// @throws Error as backward() does; Error{invalid_argument} if `weight` is not finite, or is not 1 where the
  /// Objective came with its gradient. An error found while the batch runs (an id out of range) drops what was
  /// accumulated
  float accumulate(const Batch& batch, float weight = 1.f);
  /// One step of the optimiser from the accumulated gradients: clipped, checked and counted as step() does.
  /// @return its report: the loss is the weighted sum of the batches'
  /// @throws Error{invalid_argument} if nothing was accumulated
  const StepReport& update();
  /// Forgets what was accumulated.
  void discard();
  /// Batches accumulated since the last update.
  std::int64_t accumulated() const;

  const StepReport& report() const;
  /// A graph output of the last step(), backward() or accumulate().
  /// @throws Error{invalid_argument} if there is none of that name, or if update() or another batch has taken its
  /// memory since
  HostTensor output(const std::string& name) const;
  /// The gradient of a parameter, in its shape and dtype, as of the last step() or backward(), or the sum so far of
  /// accumulate(); before clipping. Zero where the loss does not depend on it.
  /// @throws Error{invalid_argument} if there is no such parameter, or if it was of backward() and another batch has
  /// taken its memory since
  HostTensor gradient(const std::string& name) const;
  /// The same of all parameters, by name.
  TensorMap gradients() const;

  /// The factor a schedule puts on the optimiser's rate from the next step on.
  void set_rate_factor(float factor);
  std::int64_t steps() const;

  /// Plans held now, at most TrainerOptions::max_plans.
  std::int64_t plans() const;
  /// The plan for this batch's shape, printed: order, streams, offsets, bytes, peak.
  std::string describe(const Batch& batch);
  /// Why each node runs where it does: implementation chosen, why others were not, and what runs again in backward.
  std::string explain(const Batch& batch);
  /// What this trainer holds on the device once this batch's shape is planned, in bytes: the arena at its largest,
  /// parameters, gradients and moments. Equals Device::memory().peak when nothing else lives there.
  std::int64_t predicted_peak_bytes(const Batch& batch);
  /// Records the next step's timeline. @return Chrome trace JSON (chrome://tracing)
  std::string trace(const Batch& batch);

  /// Moments, averages, counters: all that an exact resume needs beside the parameters. Not what was accumulated since
  /// the last update, which restore() drops.
  TensorMap state() const;
  void restore(const TensorMap& state);
  /// Moving average of the parameters; empty unless ema_decay > 0.
  TensorMap averaged() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

struct SessionOptions {
  std::int64_t max_plans = 256;  ///< as TrainerOptions::max_plans
};

/// Runs a graph without gradients, once per batch shape planned. On the CPU it keeps a packed copy of the weights, made
/// at the first run and again at the first after a parameter has changed.
class SEQGPU_API Session {
 public:
  /// @param build  declares inputs and calls Graph::output for what run() shall return
  /// @throws Error{invalid_argument} if options.max_plans is below 1
  Session(const Device& device, const Parameters& parameters, std::function<void(Graph&)> build,
          const SessionOptions& options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  TensorMap run(const Batch& batch);
  /// Why each node runs where it does: implementation chosen, and why others were not.
  std::string explain(const Batch& batch);
  /// Plans held now, at most SessionOptions::max_plans.
  std::int64_t plans() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seqgpu
