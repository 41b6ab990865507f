#include <algorithm>

#include "schedule/program.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::schedule {
namespace {

/// Sets how many steps lie between the states that recurrent layers keep for backward. @return the longest T of them
std::int64_t set_segment(graph::Data& data, std::int64_t segment) {
  std::int64_t longest = 0;
  const auto set = [&](op::RecurrentDesc& desc) {
    if (!desc.training) return;
    desc.segment = std::min(segment, desc.T);
    longest = std::max(longest, desc.T);
  };
  for (graph::Node& node : data.nodes) {
    if (auto* forward = std::get_if<op::RecurrentForwardDesc>(&node.desc)) set(*forward);
    if (auto* backward = std::get_if<op::RecurrentBackwardDesc>(&node.desc)) set(*backward);
  }
  return longest;
}

}  // namespace

Program plan_within(graph::Data data, const device::OpTable& table, int streams, std::int64_t most_bytes) {
  Program whole = plan(data, table, streams);
  if (whole.arena_bytes <= most_bytes) return whole;
  std::int64_t least = whole.arena_bytes;
  // The longest segment that fits: all cost one forward pass more.
  for (std::int64_t segment = (set_segment(data, 0) + 1) / 2; segment > 0; segment /= 2) {
    set_segment(data, segment);
    Program program = plan(data, table, streams);
    if (program.arena_bytes <= most_bytes) return program;
    least = std::min(least, program.arena_bytes);
  }
  throw Error(
      ErrorCode::out_of_memory, "plan", "memory_bytes",
      "leaves " + std::to_string(std::max<std::int64_t>(most_bytes, 0)) + " bytes for a plan that needs " +
          std::to_string(whole.arena_bytes) +
          (least < whole.arena_bytes ? ", or " + std::to_string(least) + " where recurrent layers run forward again"
                                     : std::string()) +
          "; allow more, or make the batch smaller");
}

}  // namespace seqgpu::schedule
