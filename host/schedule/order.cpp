#include "schedule/order.hpp"

#include <algorithm>

namespace seqgpu::schedule {
namespace {

using graph::Data;
using graph::Node;
using graph::Storage;

// What waiting for another stream costs, in the unit of op::cost_of: about a microsecond.
constexpr double kSwitch = 2e4;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

std::vector<bool> live_nodes(const Data& data) {
  std::vector<bool> live(data.nodes.size(), false);
  std::vector<int> open;
  const auto mark = [&](int value) {
    const int node = value < 0 ? -1 : data.values[at(value)].producer;
    if (node >= 0 && !live[at(node)]) {
      live[at(node)] = true;
      open.push_back(node);
    }
  };
  for (const auto& [name, value] : data.outputs) mark(value);
  for (std::size_t v = 0; v < data.values.size(); ++v) {
    if (data.values[v].storage != Storage::arena) mark(static_cast<int>(v));
  }
  for (std::size_t n = 0; n < data.nodes.size(); ++n) {
    if (data.nodes[n].last && !live[n]) {
      live[n] = true;
      open.push_back(static_cast<int>(n));
    }
  }
  while (!open.empty()) {
    const int node = open.back();
    open.pop_back();
    for (const int in : data.nodes[at(node)].inputs) mark(in);
  }
  return live;
}

bool reaches(const std::vector<std::vector<int>>& deps, int from, int to) {
  std::vector<bool> seen(deps.size(), false);
  std::vector<int> open{from};
  while (!open.empty()) {
    const int node = open.back();
    open.pop_back();
    if (node == to) return true;
    for (const int dep : deps[at(node)]) {
      if (!seen[at(dep)]) open.push_back(dep);
      seen[at(dep)] = true;
    }
  }
  return false;
}

/// A node that must overwrite its input waits for whoever else reads it, unless that one waits for the node.
void overwrite_last(const Data& data, const std::vector<bool>& live, std::vector<std::vector<int>>& deps) {
  for (std::size_t n = 0; n < data.nodes.size(); ++n) {
    if (!live[n] || !op::in_place_option(data.nodes[n].desc)) continue;
    for (std::size_t reader = 0; reader < data.nodes.size(); ++reader) {
      const std::vector<int>& reads = data.nodes[reader].inputs;
      if (!live[reader] || reader == n || std::count(reads.begin(), reads.end(), data.nodes[n].inputs[0]) == 0)
        continue;
      if (!reaches(deps, static_cast<int>(reader), static_cast<int>(n))) deps[n].push_back(static_cast<int>(reader));
    }
    std::sort(deps[n].begin(), deps[n].end());
    deps[n].erase(std::unique(deps[n].begin(), deps[n].end()), deps[n].end());
  }
}

/// Nodes each live node waits for; `last` nodes wait for all before them.
std::vector<std::vector<int>> dependences(const Data& data, const std::vector<bool>& live) {
  std::vector<std::vector<int>> deps(data.nodes.size());
  for (std::size_t n = 0; n < data.nodes.size(); ++n) {
    if (!live[n]) continue;
    for (const int in : data.nodes[n].inputs) {
      const int producer = in < 0 ? -1 : data.values[at(in)].producer;
      if (producer >= 0) deps[n].push_back(producer);
    }
    if (data.nodes[n].last) {
      for (std::size_t other = 0; other < n; ++other) {
        if (live[other]) deps[n].push_back(static_cast<int>(other));
      }
    }
    std::sort(deps[n].begin(), deps[n].end());
    deps[n].erase(std::unique(deps[n].begin(), deps[n].end()), deps[n].end());
  }
  overwrite_last(data, live, deps);
  return deps;
}

}  // namespace

std::vector<Placed> order_nodes(const Data& data, int streams) {
  const std::vector<bool> live = live_nodes(data);
  const auto deps = dependences(data, live);
  const std::size_t count = data.nodes.size();
  std::vector<std::vector<int>> users(count);
  std::vector<int> missing(count, 0);
  std::vector<double> way(count, 0);  // cost of the longest path from here to the end
  for (std::size_t n = 0; n < count; ++n) {
    for (const int dep : deps[n]) users[at(dep)].push_back(static_cast<int>(n));
    missing[n] = static_cast<int>(deps[n].size());
  }
  for (std::size_t n = count; n-- > 0;) {
    for (const int user : users[n]) way[n] = std::max(way[n], way[at(user)]);
    way[n] += op::cost_of(data.nodes[n].desc);
  }

  std::vector<int> ready;
  for (std::size_t n = 0; n < count; ++n) {
    if (live[n] && missing[n] == 0) ready.push_back(static_cast<int>(n));
  }
  std::vector<double> end(count, 0), free_at(at(streams), 0);
  std::vector<int> position(count, -1), tail(at(streams), -1);
  std::vector<Placed> order;
  while (!ready.empty()) {
    const auto next = std::max_element(ready.begin(), ready.end(), [&](int a, int b) {
      return way[at(a)] != way[at(b)] ? way[at(a)] < way[at(b)] : a > b;
    });
    const int node = *next;
    ready.erase(next);
    int best = 0;
    double best_start = 0;
    for (int s = 0; s < streams; ++s) {
      double start = free_at[at(s)];
      for (const int dep : deps[at(node)]) {
        const bool elsewhere = order[at(position[at(dep)])].stream != s;
        start = std::max(start, end[at(dep)] + (elsewhere ? kSwitch : 0));
      }
      if (s == 0 || start < best_start) {
        best = s;
        best_start = start;
      }
    }
    Placed placed{node, best, {}};
    // Of each other stream only the latest step matters: its own order covers the rest.
    std::vector<int> latest(at(streams), -1);
    for (const int dep : deps[at(node)]) {
      const Placed& on = order[at(position[at(dep)])];
      if (on.stream != best) latest[at(on.stream)] = std::max(latest[at(on.stream)], position[at(dep)]);
    }
    for (const int wait : latest) {
      if (wait >= 0) placed.waits.push_back(wait);
    }
    position[at(node)] = static_cast<int>(order.size());
    end[at(node)] = best_start + op::cost_of(data.nodes[at(node)].desc);
    free_at[at(best)] = end[at(node)];
    order.push_back(std::move(placed));
    for (const int user : users[at(node)]) {
      if (--missing[at(user)] == 0) ready.push_back(user);
    }
  }
  return order;
}

std::vector<std::vector<bool>> happens_before(const std::vector<Placed>& order) {
  std::vector<std::vector<bool>> before(order.size(), std::vector<bool>(order.size(), false));
  const auto inherit = [&](std::size_t i, std::size_t from) {
    before[i][from] = true;
    for (std::size_t j = 0; j < from; ++j) {
      if (before[from][j]) before[i][j] = true;
    }
  };
  for (std::size_t i = 0; i < order.size(); ++i) {
    for (const int wait : order[i].waits) inherit(i, at(wait));
    for (std::size_t j = i; j-- > 0;) {
      if (order[j].stream == order[i].stream) {
        inherit(i, j);
        break;
      }
    }
  }
  return before;
}

}  // namespace seqgpu::schedule
