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

/// One shape of batch, planned.
struct Plan {
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

/// Programs by batch shape, over one arena that is as large as the largest needs.
class Plans {
 public:
  using Fetches = std::function<std::vector<device::Work::Fetch>(const schedule::Program&, const schedule::Bases&)>;

  /// @param describe  fills a graph whose inputs are bound to the batch
  /// @param fetches   what every run brings to the host; may be empty
  Plans(const Device& device, bool training, std::function<void(Graph&)> describe, Fetches fetches = {})
      : device_(device), training_(training), describe_(std::move(describe)), fetches_(std::move(fetches)) {}

  /// The most that the arena may take; none unless set.
  void limit_arena(std::int64_t bytes) { most_bytes_ = bytes; }

  /// The plan for this batch's shapes, made at first need. Allocates nothing when it exists.
  Plan& find(const char* operation, const Batch& batch, schedule::Bases& bases);
  /// Copies the batch to the plan's inputs.
  void feed(const Plan& plan, const Batch& batch, const schedule::Bases& bases);
  /// Runs it. Steps prepare again what was made of another version of the parameters.
  void run(Plan& plan, std::uint64_t version);
  /// A graph output after a run.
  HostTensor output(const Plan& plan, const schedule::Bases& bases, int value) const;
  std::int64_t arena_bytes() const { return arena_.bytes(); }

 private:
  std::unique_ptr<Plan> make(const char* operation, const Batch& batch);
  std::shared_ptr<Prepared> prepared_for(const Plan& plan, const schedule::Step& step) const;
  void bind(Plan& plan, const schedule::Bases& bases) const;

  Device device_;
  bool training_;
  std::function<void(Graph&)> describe_;
  Fetches fetches_;
  std::optional<std::int64_t> most_bytes_;
  std::vector<std::unique_ptr<Plan>> plans_;
  device::Buffer arena_;
};

}  // namespace seqgpu::train
