#pragma once

#include <vector>

#include "graph/data.hpp"

namespace seqgpu::schedule {

/// A node's place: position in the vector is the order.
struct Placed {
  int node = 0;
  int stream = 0;
  std::vector<int> waits;  // positions
};

/// Drops nodes that reach neither an output nor storage outside the arena, then list-schedules the rest: of the nodes
/// that are ready, the one with the longest way to go first, on the stream where it would end first.
std::vector<Placed> order_nodes(const graph::Data& data, int streams);

/// before[i][j]: position j has certainly ended when position i starts, whatever the timing of streams.
std::vector<std::vector<bool>> happens_before(const std::vector<Placed>& order);

}  // namespace seqgpu::schedule
