#include "schedule/program.hpp"

#include <algorithm>
#include <cstdio>

#include "schedule/memory.hpp"
#include "schedule/order.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::schedule {
namespace {

using graph::Storage;

std::size_t at(int i) { return static_cast<std::size_t>(i); }

/// The two directions of a layer know of each other: nobody else need take a part of their work.
void pair_directions(graph::Data& data, const std::vector<Placed>& order) {
  std::vector<std::pair<int, op::RecurrentForwardDesc*>> layers;  // their x
  for (const Placed& placed : order) {
    graph::Node& node = data.nodes[at(placed.node)];
    auto* one = std::get_if<op::RecurrentForwardDesc>(&node.desc);
    if (!one) continue;
    const int x = node.inputs[op::kInX];
    for (const auto& [its_x, other] : layers) {
      if (x == its_x && one->direction != other->direction && one->cell == other->cell && one->H == other->H)
        one->paired = other->paired = true;
    }
    layers.emplace_back(x, one);
  }
  for (const Placed& placed : order) {
    graph::Node& node = data.nodes[at(placed.node)];
    auto* backward = std::get_if<op::RecurrentBackwardDesc>(&node.desc);
    const int reserve = backward ? node.inputs[op::kInReserve] : -1;
    if (reserve < 0) continue;
    const graph::Node& forward = data.nodes[at(data.values[at(reserve)].producer)];
    backward->paired = std::get<op::RecurrentForwardDesc>(forward.desc).paired;
  }
}

/// Whether all that a step prepares from are parameters.
bool from_parameters(const graph::Data& data, const Step& step) {
  for (std::size_t i = 0; i < step.inputs.size() && i < 32; ++i) {
    if ((step.implementation->preparation.inputs >> i & 1) == 0 || step.inputs[i] < 0) continue;
    if (data.values[at(step.inputs[i])].storage != Storage::parameters) return false;
  }
  return true;
}

/// Chooses implementations and leaves out inputs that they do not look at and outputs that nobody reads.
void choose_all(Program& p, const device::OpTable& table, const std::vector<Placed>& order, bool keep_prepared) {
  std::vector<bool> read(p.graph.values.size(), false);
  for (const auto& [name, value] : p.graph.outputs) read[at(value)] = true;
  for (const Placed& placed : order) {
    const graph::Node& node = p.graph.nodes[at(placed.node)];
    Step step{placed.node, placed.stream, placed.waits, nullptr, {}, node.inputs, node.outputs, 0, 0, 0, 0, false};
    device::Choice choice = device::choose(table, node.desc);
    step.implementation = choice.implementation;
    step.rejected = std::move(choice.rejected);
    step.workspace_bytes = static_cast<std::int64_t>(step.implementation->workspace_bytes(node.desc, table.limits));
    if (const device::Preparation& preparation = step.implementation->preparation; preparation.bytes) {
      step.prepared_bytes = static_cast<std::int64_t>(preparation.bytes(node.desc, table.limits));
      step.prepared_lasts = keep_prepared && from_parameters(p.graph, step);
    }
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
      if (i < 32 && (step.implementation->unread >> i & 1) != 0) step.inputs[i] = -1;
      if (step.inputs[i] >= 0) read[at(step.inputs[i])] = true;
    }
    p.streams = std::max(p.streams, step.stream + 1);
    p.steps.push_back(std::move(step));
  }
  for (Step& step : p.steps) {
    const graph::Node& node = p.graph.nodes[at(step.node)];
    for (int& out : step.outputs) {
      if (out < 0) continue;
      const graph::ValueInfo& value = p.graph.values[at(out)];
      if (value.opaque) {
        p.bytes[at(out)] = static_cast<std::int64_t>(step.implementation->opaque_bytes(node.desc, table.limits));
      }
      if (value.storage == Storage::arena && !read[at(out)]) out = -1;
    }
  }
}

void place_memory(Program& p, const std::vector<Placed>& order) {
  std::vector<Block> blocks;
  std::vector<int> block_of(p.graph.values.size(), -1);
  const auto block_for = [&](int value, int born) -> Block* {
    if (value < 0 || p.graph.values[at(value)].storage != Storage::arena) return nullptr;
    if (block_of[at(value)] < 0) {
      block_of[at(value)] = static_cast<int>(blocks.size());
      blocks.push_back({p.bytes[at(value)], born, {}, false, -1});
    }
    return &blocks[at(block_of[at(value)])];
  };
  for (const auto& [name, value] : p.graph.inputs) block_for(value, -1);
  std::vector<int> workspace(p.steps.size(), -1), prepared(p.steps.size(), -1);
  for (std::size_t i = 0; i < p.steps.size(); ++i) {
    const Step& step = p.steps[i];
    const int position = static_cast<int>(i);
    for (const int in : step.inputs) {
      if (Block* block = block_for(in, -1)) block->touches.push_back(position);
    }
    for (const int out : step.outputs) {
      if (Block* block = block_for(out, position)) block->touches.push_back(position);
    }
    if (op::in_place(p.graph.nodes[at(step.node)].desc) && step.outputs[0] >= 0 && step.inputs[0] >= 0) {
      const int from = block_of[at(step.inputs[0])], to = block_of[at(step.outputs[0])];
      if (from >= 0 && to >= 0) blocks[at(to)].replaces = from;
    }
    const auto scratch = [&](std::int64_t bytes) {
      blocks.push_back({bytes, position, {position}, false, -1});
      return static_cast<int>(blocks.size()) - 1;
    };
    if (step.workspace_bytes > 0) workspace[i] = scratch(step.workspace_bytes);
    if (step.prepared_bytes > 0 && !step.prepared_lasts) prepared[i] = scratch(step.prepared_bytes);
  }
  for (const auto& [name, value] : p.graph.outputs) {
    if (Block* block = block_for(value, -1)) block->pinned = true;
  }
  const Layout layout = lay_out(blocks, happens_before(order));
  p.arena_bytes = layout.bytes;
  for (std::size_t v = 0; v < block_of.size(); ++v) {
    if (block_of[v] >= 0) p.offsets[v] = layout.offsets[at(block_of[v])];
  }
  for (std::size_t i = 0; i < p.steps.size(); ++i) {
    if (workspace[i] >= 0) p.steps[i].workspace_offset = layout.offsets[at(workspace[i])];
    if (prepared[i] >= 0) p.steps[i].prepared_offset = layout.offsets[at(prepared[i])];
  }
}

/// @throws Error{invalid_argument} where an operation that must overwrite its input got other memory
void check_in_place(const Program& p) {
  for (std::size_t i = 0; i < p.steps.size(); ++i) {
    const Step& step = p.steps[i];
    const graph::Node& node = p.graph.nodes[at(step.node)];
    const char* option = op::in_place_option(node.desc);
    if (!option || step.outputs[0] < 0) continue;
    const int from = step.inputs[0], to = step.outputs[0];
    if (p.offsets[at(from)] >= 0 && p.offsets[at(from)] == p.offsets[at(to)]) continue;
    std::string why;
    for (const auto& [name, value] : p.graph.outputs) {
      if (value == from) why = "being output \"" + name + "\" of the graph; make that a copy, affine(x, 1)";
    }
    for (std::size_t later = i + 1; later < p.steps.size() && why.empty(); ++later) {
      const std::vector<int>& reads = p.steps[later].inputs;
      if (std::count(reads.begin(), reads.end(), from) == 0) continue;
      why = std::string("as ") + op::name_of(p.graph.nodes[at(p.steps[later].node)].desc) +
            " reads it later; give one of the two a copy, affine(x, 1)";
    }
    if (p.graph.values[at(from)].storage != Storage::arena)
      why = "being a parameter; give the loss a copy, affine(x, 1)";
    if (why.empty()) why = "as others share its memory";
    throw Error(
        ErrorCode::invalid_argument, op::name_of(node.desc), option,
        "cannot be kept: its input " + seqgpu::to_string(p.graph.values[at(from)].shape) + " must stay, " + why);
  }
}

std::string value_text(const Program& p, int value) {
  const graph::ValueInfo& info = p.graph.values[at(value)];
  std::string text = info.name.empty() ? "%" + std::to_string(value) : info.name;
  text += info.opaque ? "[" + std::to_string(p.bytes[at(value)]) + " bytes]" : to_string(info.shape);
  if (info.storage == Storage::arena) text += "@" + std::to_string(p.offsets[at(value)]);
  return text;
}

}  // namespace

Program plan(graph::Data data, const device::OpTable& table, int streams, bool keep_prepared) {
  Program p;
  p.graph = std::move(data);
  p.offsets.assign(p.graph.values.size(), -1);
  for (const graph::ValueInfo& value : p.graph.values) p.bytes.push_back(value.bytes());
  const std::vector<Placed> order = order_nodes(p.graph, streams);
  pair_directions(p.graph, order);
  choose_all(p, table, order, keep_prepared);
  place_memory(p, order);
  check_in_place(p);
  return p;
}

std::byte* address(const Program& p, const Bases& bases, int value) {
  if (value < 0) return nullptr;
  const graph::ValueInfo& info = p.graph.values[at(value)];
  switch (info.storage) {
    case Storage::arena: return p.offsets[at(value)] < 0 ? nullptr : bases.arena + p.offsets[at(value)];
    case Storage::parameters: return bases.parameters + info.offset;
    case Storage::gradients: return bases.gradients + info.offset;
    case Storage::moment1: return bases.moment1 ? bases.moment1 + info.offset : nullptr;
    case Storage::moment2: return bases.moment2 ? bases.moment2 + info.offset : nullptr;
    case Storage::average: return bases.average ? bases.average + info.offset : nullptr;
    case Storage::control: return bases.control + info.offset;
  }
  return nullptr;
}

device::Work bind(const Program& p, const Bases& bases) {
  device::Work work;
  work.streams = p.streams;
  work.cost = 0;
  for (const Step& step : p.steps) {
    device::Launch launch;
    launch.implementation = step.implementation;
    launch.desc = &p.graph.nodes[at(step.node)].desc;
    work.cost += op::cost_of(*launch.desc);
    for (const int in : step.inputs) launch.inputs.push_back(address(p, bases, in));
    for (const int out : step.outputs) launch.outputs.push_back(address(p, bases, out));
    launch.workspace = bases.arena + step.workspace_offset;
    if (step.prepared_bytes > 0 && !step.prepared_lasts) {
      launch.prepared = bases.arena + step.prepared_offset;
      launch.prepare = true;
    }
    launch.stream = step.stream;
    launch.waits = step.waits;
    work.launches.push_back(std::move(launch));
  }
  work.timeline.resize(work.launches.size());
  return work;
}

std::string Program::to_string() const {
  std::string text;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    char head[64];
    std::snprintf(head, sizeof head, "%4zu  stream %d  ", i, step.stream);
    text += head + std::string(op::name_of(graph.nodes[at(step.node)].desc)) + "(";
    bool first = true;
    for (const int in : step.inputs) {
      if (in < 0) continue;
      text += (first ? "" : ", ") + value_text(*this, in);
      first = false;
    }
    text += ") ->";
    for (const int out : step.outputs) {
      if (out >= 0) text += " " + value_text(*this, out);
    }
    if (step.workspace_bytes > 0) {
      text += "  workspace " + std::to_string(step.workspace_bytes) + "@" + std::to_string(step.workspace_offset);
    }
    if (step.prepared_bytes > 0) {
      text += "  prepared " + std::to_string(step.prepared_bytes);
      text += step.prepared_lasts ? " kept" : "@" + std::to_string(step.prepared_offset);
    }
    for (std::size_t w = 0; w < step.waits.size(); ++w) text += (w ? ", " : "  after ") + std::to_string(step.waits[w]);
    text += "\n";
  }
  return text + "steps " + std::to_string(steps.size()) + ", streams " + std::to_string(streams) + ", arena peak " +
         std::to_string(arena_bytes) + " bytes\n";
}

std::string Program::explain() const {
  std::string text;
  for (const Step& step : steps) {
    text += std::string(op::name_of(graph.nodes[at(step.node)].desc)) + ": " + step.implementation->name;
    if (!step.rejected.empty()) text += " (" + step.rejected + ")";
    if (const auto* forward = std::get_if<op::RecurrentForwardDesc>(&graph.nodes[at(step.node)].desc)) {
      if (forward->segment > 0) text += ", again in backward by " + std::to_string(forward->segment) + " steps";
    }
    if (step.prepared_lasts) text += ", weights packed once (" + std::to_string(step.prepared_bytes) + " bytes)";
    text += "\n";
  }
  return text;
}

std::string trace_json(const Program& program, const device::Work& work) {
  std::string text = "{\"traceEvents\":[";
  for (std::size_t i = 0; i < work.timeline.size(); ++i) {
    const device::Work::Interval& interval = work.timeline[i];
    char line[256];
    std::snprintf(
        line, sizeof line,
        "%s\n{\"name\":\"%s\",\"ph\":\"X\",\"pid\":1,\"tid\":%d,\"ts\":%.3f,\"dur\":%.3f,\"args\":{\"step\":%zu,"
        "\"stream\":%d}}",
        i ? "," : "", op::name_of(program.graph.nodes[at(program.steps[i].node)].desc), interval.thread,
        interval.begin_us, interval.end_us - interval.begin_us, i, program.steps[i].stream);
    text += line;
  }
  return text + "\n]}\n";
}

}  // namespace seqgpu::schedule
