#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "schedule/program.hpp"
#include "seqgpu/graph.hpp"
#include "seqgpu/tensor.hpp"
#include "train/store.hpp"

namespace seqgpu::train {

/// What a step prepared of parameters, for the steps of all plans that prepare the same.
struct Prepared {
  device::Buffer buffer;
  std::uint64_t version = 0;  // of the parameters it was made of; 0: of none
};

/// What a program does with its batch.
enum class Pass : std::uint8_t {
  forward,     // a Session's
  step,        // forward, backward, the norm of the gradients, and the update
  backward,    // forward and backward; gradients lie in the arena, as the outputs do
  begin,       // the same; gradients lie in the flat buffer, for the pass update
  accumulate,  // the same; gradients are added to those that the flat buffer holds
  update,      // norm and update of what the flat buffer holds; there is no batch
};

/// What a graph was described to be.
struct Described {
  int loss = -1;               // a value that every run brings to the host
  std::vector<int> gradients;  // by parameter: the value that is its gradient, -1 where it is zero
};

/// One shape of batch, planned.
struct Plan {
  Pass pass = Pass::forward;
  Described described;
  struct Input {
    std::string name;
    DType dtype;
    Shape shape;
    std::int64_t offset = -1;  // in the arena; -1: declared, but read by nobody
  };
  std::vector<Input> inputs;
  std::vector<std::string> offered;  // names in the batch it was made for: a graph may ask which are there
  schedule::Program program;
  device::Work work;
  struct Kept {
    std::size_t step;
    std::shared_ptr<Prepared> prepared;  // no two steps of a plan have the same: they may run at once
  };
  std::vector<Kept> kept;
};

/// Programs by batch shape, over one arena that is as large as the largest needs. Above a number of them the least
/// recently used goes.
class Plans {
 public:
  using Describe = std::function<Described(Graph&, Pass)>;
  using Fetches = std::function<std::vector<device::Work::Fetch>(const Plan&, const schedule::Bases&)>;

  /// @param owner       whose option `max_plans` is, for the Error if it is below 1
  /// @param describe    fills a graph whose inputs are bound to the batch
  /// @param fetches     what every run brings to the host; may be empty
  Plans(const char* owner, const Device& device, std::int64_t max_plans, Describe describe, Fetches fetches = {});

  /// The most that the arena may take; none unless set.
  void limit_arena(std::int64_t bytes) { most_bytes_ = bytes; }

  /// The plan for this batch's shapes, made at first need. Allocates nothing when it exists. The plan lasts until the
  /// next call.
  Plan& find(const char* operation, const Batch& batch, schedule::Bases& bases, Pass pass);
  /// Copies the batch to the plan's inputs.
  void feed(const Plan& plan, const Batch& batch, const schedule::Bases& bases);
  /// Runs it. Steps prepare again what was made of another version of the parameters.
  void run(Plan& plan, std::uint64_t version);
  /// The plan that ran last, while its results are there: null once the arena is another's.
  const Plan* last_run() const { return last_run_; }
  bool has_run() const { return has_run_; }
  /// A graph output after a run.
  HostTensor output(const Plan& plan, const schedule::Bases& bases, int value) const;
  std::int64_t arena_bytes() const { return arena_.bytes(); }
  std::int64_t count() const { return static_cast<std::int64_t>(plans_.size()); }

 private:
  std::unique_ptr<Plan> make(const char* operation, const Batch& batch, Pass pass);
  void grow_arena(std::int64_t bytes, schedule::Bases& bases);
  std::shared_ptr<Prepared> prepared_for(const Plan& plan, const schedule::Step& step) const;
  void bind(Plan& plan, const schedule::Bases& bases) const;

  Device device_;
  std::int64_t max_plans_;
  Describe describe_;
  Fetches fetches_;
  std::optional<std::int64_t> most_bytes_;
  std::vector<std::unique_ptr<Plan>> plans_;  // most recently used first
  const Plan* last_run_ = nullptr;
  bool has_run_ = false;
  device::Buffer arena_;
};

}  // namespace seqgpu::train
