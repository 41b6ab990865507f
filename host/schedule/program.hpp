#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "device/device.hpp"
#include "graph/data.hpp"

// Graph -> Program: what runs when, on which stream, with every byte of memory placed. A pure function of the graph,
// the table of implementations and the number of streams.
namespace seqgpu::schedule {

struct Step {
  int node = 0;
  int stream = 0;
  std::vector<int> waits;  // steps of other streams that must have ended
  const device::Implementation* implementation = nullptr;
  std::string rejected;
  std::vector<int> inputs, outputs;  // value ids; -1 where absent or wanted by nobody
  std::int64_t workspace_offset = 0, workspace_bytes = 0;
  // What the implementation prepares: in the arena, at every run; or to last: then whoever runs the program keeps these
  // bytes, and says when they are to be made again.
  std::int64_t prepared_offset = 0, prepared_bytes = 0;
  bool prepared_lasts = false;
};

struct Program {
  graph::Data graph;  // of its own: a Program outlives what it was made from
  std::vector<Step> steps;
  std::vector<std::int64_t> offsets;  // per value, in the arena; -1 where it does not live there
  std::vector<std::int64_t> bytes;    // per value
  std::int64_t arena_bytes = 0;
  int streams = 1;

  /// One line per step: number, stream, waits, operation, shapes, offsets; then the peak.
  std::string to_string() const;
  /// One line per step: the implementation chosen and why others were not.
  std::string explain() const;
};

/// @param streams        at most this many
/// @param keep_prepared  what steps prepare of parameters alone shall last, as runs do not change these
Program plan(graph::Data graph, const device::OpTable& table, int streams, bool keep_prepared = false);

/// The same in an arena of `most_bytes`: where it would need more, recurrent layers keep their states only now and
/// then, and backward runs forward again from each.
/// @throws Error{out_of_memory} with what it would need
Program plan_within(graph::Data graph, const device::OpTable& table, int streams, std::int64_t most_bytes);

/// Start of each kind of storage.
struct Bases {
  std::byte *arena = nullptr, *parameters = nullptr, *gradients = nullptr, *moment1 = nullptr, *moment2 = nullptr,
            *average = nullptr, *control = nullptr;
};
/// Turns offsets into pointers, but for what lasts (Step::prepared_lasts). The Program must outlive the Work.
device::Work bind(const Program& program, const Bases& bases);
/// Where a value lives.
std::byte* address(const Program& program, const Bases& bases, int value);

/// Chrome trace format, for chrome://tracing.
std::string trace_json(const Program& program, const device::Work& work);

}  // namespace seqgpu::schedule
