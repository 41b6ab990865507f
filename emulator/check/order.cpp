#include "emulator/check/order.hpp"

#include <algorithm>

#include "emulator/grid.hpp"

namespace emulator::order {

std::uint32_t time = 1;

#if SEQGPU_EMULATOR_CHECK

namespace {

// clock[a * n + b], which exists from the first time it is needed.
std::uint32_t read(const std::vector<std::uint32_t>& clock, std::size_t index) {
  return clock.empty() ? 0 : clock[index];
}

std::uint32_t lanes_joined(const Warp& warp, unsigned a, unsigned b) {
  return std::max(warp.clock.full, read(warp.clock.pairs, a * 32 + b));
}

Block* in_cluster(unsigned number) {
  for (auto& block : current->block->cluster->blocks)
    if (block->number == number) return block.get();
  return nullptr;
}

std::size_t block_count() { return std::size_t{1} * grid->spec.grid.x * grid->spec.grid.y * grid->spec.grid.z; }

std::vector<std::uint32_t>& blocks_known(Block& block) {
  if (block.clock.blocks.empty()) block.clock.blocks.assign(block_count(), 0);
  return block.clock.blocks;
}

std::vector<std::uint32_t>& warps_known(Block& block) {
  if (block.clock.warps.empty()) block.clock.warps.assign(block.warps.size() * block.warps.size(), 0);
  return block.clock.warps;
}

void raise(std::uint32_t& stamp, std::uint32_t other) { stamp = std::max(stamp, other); }

}  // namespace

void join_lanes(Warp& warp, unsigned mask) {
  ++time;
  if (mask == warp.full) {
    warp.clock.full = time;
    return;
  }
  auto& pairs = warp.clock.pairs;
  if (pairs.empty()) pairs.assign(32 * 32, 0);
  std::uint32_t joint[32] = {};  // what any lane of the mask knows of each lane
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1)
      for (unsigned j = 0; j < 32; ++j) raise(joint[j], pairs[i * 32 + j]);
  for (unsigned i = 0; i < 32; ++i)
    if (mask >> i & 1)
      for (unsigned j = 0; j < 32; ++j) pairs[i * 32 + j] = mask >> j & 1 ? time : joint[j];
}

void join_threads(const std::vector<Thread*>& threads) {
  ++time;
  Block& block = *threads.front()->block;
  auto& known = warps_known(block);
  const std::size_t warps = block.warps.size();
  std::vector<bool> member(warps);
  for (const Thread* thread : threads) member[thread->warp] = true;
  std::vector<std::uint32_t> joint(warps, 0);
  for (std::size_t i = 0; i < warps; ++i)
    if (member[i])
      for (std::size_t j = 0; j < warps; ++j) raise(joint[j], known[i * warps + j]);
  for (std::size_t i = 0; i < warps; ++i) {
    if (!member[i]) continue;
    block.warps[i].clock.full = time;
    for (std::size_t j = 0; j < warps; ++j) known[i * warps + j] = member[j] ? time : joint[j];
  }
}

void acquire(const void* p) {
  const auto found = grid->releases.find(p);
  if (found == grid->releases.end()) return;
  Block& block = *current->block;
  auto& blocks = blocks_known(block);
  for (std::size_t i = 0; i < blocks.size(); ++i) raise(blocks[i], found->second.blocks[i]);
  const auto inside = found->second.inside.find(block.number);
  if (inside == found->second.inside.end()) return;
  auto& warps = warps_known(block);
  for (std::size_t w = 0; w < block.warps.size(); ++w) {
    // What a lane released itself tells it nothing about the other lanes of its warp.
    const bool own = w == current->warp && inside->second.lanes[w] == current->lane;
    raise(warps[current->warp * block.warps.size() + w], (own ? inside->second.others : inside->second.warps)[w]);
  }
}

void release(const void* p) {
  ++time;
  Block& block = *current->block;
  Release& released = grid->releases[p];
  if (released.blocks.empty()) released.blocks.assign(block_count(), 0);
  auto& known = blocks_known(block);
  for (auto& peer : block.cluster->blocks) raise(known[peer->number], block.cluster->stamp);
  known[block.number] = time;
  for (std::size_t i = 0; i < known.size(); ++i) raise(released.blocks[i], known[i]);

  auto& inside = released.inside[block.number];
  const std::size_t warps = block.warps.size();
  if (inside.warps.empty()) {
    inside.warps.assign(warps, 0);
    inside.lanes.assign(warps, 0);
    inside.others.assign(warps, 0);
  }
  const auto& warps_of_mine = warps_known(block);
  for (std::size_t w = 0; w < warps; ++w) {
    if (w == current->warp || warps_of_mine[current->warp * warps + w] <= inside.warps[w]) continue;
    inside.warps[w] = warps_of_mine[current->warp * warps + w];
    inside.lanes[w] = 32;  // nobody of this block's: second hand
  }
  if (inside.lanes[current->warp] != current->lane) inside.others[current->warp] = inside.warps[current->warp];
  inside.warps[current->warp] = time;
  inside.lanes[current->warp] = current->lane;
}

bool happened_before(unsigned first, std::uint32_t when) {
  const Block& mine = *current->block;
  const unsigned number = first / grid->threads_per_block, rank = first % grid->threads_per_block;
  std::uint32_t joined = grid->stamp;
  if (number == mine.number) {
    raise(joined, mine.stamp);
    raise(joined, mine.cluster->stamp);
    raise(joined, read(mine.clock.warps, current->warp * mine.warps.size() + rank / 32));
    if (rank / 32 == current->warp) raise(joined, lanes_joined(mine.warps[current->warp], current->lane, rank % 32));
  } else {
    raise(joined, read(mine.clock.blocks, number));
    if (in_cluster(number)) raise(joined, mine.cluster->stamp);
  }
  return joined > when;
}

#endif

}  // namespace emulator::order
