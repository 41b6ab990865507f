#include <sys/mman.h>

#include <cstring>
#include <map>

#include "emulator/check/shadow.hpp"
#include "emulator/grid.hpp"
#include "emulator/heap.hpp"

// Shared memory. Every live block owns an arena: red zone | static slots, apart | dynamic, exact size | red zone.
// Slots are laid out as a launch meets them and have the same offset in all its blocks, so that a peer's object is
// found by its offset. Before a block starts and after it ends its arena is out of bounds for everybody.

namespace emulator {
namespace {

constexpr std::size_t kRedZone = 256, kSlotGap = 32, kPage = 4096;

// Arenas are kept and used again, by size.
std::map<std::size_t, std::vector<char*>>& pool() {
  static auto* arenas = new std::map<std::size_t, std::vector<char*>>;
  return *arenas;
}

void expose(const Block& block, Range range) {
  heap_unpoison(block.arena + range.offset, range.bytes);
  std::memset(block.arena + range.offset, 0xff, range.bytes);
  dev_range(block.arena + range.offset, range.bytes, true);
}

void hide(const Block& block, Range range) { dev_range(block.arena + range.offset, range.bytes, false); }

Range dynamic_range() { return {kStaticBytes, grid->spec.shared_bytes}; }

}  // namespace

void open_arena(Block& block) {
  if (grid->arena_bytes == 0) {
    grid->arena_bytes = (kStaticBytes + grid->spec.shared_bytes + kRedZone + kPage - 1) / kPage * kPage;
    grid->next_offset = kRedZone;
  }
  auto& spare = pool()[grid->arena_bytes];
  if (spare.empty()) {
    block.arena = heap_map_arena(grid->arena_bytes);
  } else {
    block.arena = spare.back();
    spare.pop_back();
  }
  heap_poison(block.arena, grid->arena_bytes);
}

void start_arena(Block& block) {
  block.started = true;
  for (Range slot : grid->static_slots) expose(block, slot);
  if (grid->spec.shared_bytes) expose(block, dynamic_range());
}

void close_arena(Block& block) {
  for (Range slot : grid->static_slots) hide(block, slot);
  if (grid->spec.shared_bytes) hide(block, dynamic_range());
  heap_poison(block.arena, grid->arena_bytes);
}

void recycle_arena(Block& block) {
  close_arena(block);
  pool()[grid->arena_bytes].push_back(block.arena);
}

void* shared_static(SharedSlot& slot, std::size_t bytes, std::size_t alignment) {
  Inside inside;
  if (slot.grid != grid->serial) {
    const std::size_t offset = (grid->next_offset + alignment - 1) / alignment * alignment;
    slot = {grid->serial, offset};
    grid->next_offset = offset + (bytes + kSlotGap - 1) / kSlotGap * kSlotGap + kSlotGap;
    if (grid->next_offset > kStaticBytes - kRedZone)
      fail("static shared memory: %zu bytes more than the emulator's arena of %zu", bytes, kStaticBytes);
    grid->static_slots.push_back({offset, bytes});
    for (auto& cluster : grid->live)
      for (auto& block : cluster->blocks)
        if (block->started && block->alive) expose(*block, grid->static_slots.back());
  }
  return current->block->arena + slot.offset;
}

void* shared_dynamic() { return current->block->arena + kStaticBytes; }

void* map_shared_rank(const void* p, unsigned rank, Location location) {
  Inside inside;
  const Block& block = *current->block;
  const char* byte = static_cast<const char*>(p);
  if (byte < block.arena || byte >= block.arena + grid->arena_bytes)
    fail("map_shared_rank: the pointer is not in this block's shared memory, at %s", describe(location).text);
  if (rank >= block.cluster->blocks.size())
    fail("map_shared_rank: rank %u in a cluster of %zu blocks, at %s", rank, block.cluster->blocks.size(),
         describe(location).text);
  return block.cluster->blocks[rank]->arena + (byte - block.arena);
}

unsigned cluster_rank() { return current->block->rank; }
unsigned cluster_size() { return static_cast<unsigned>(current->block->cluster->blocks.size()); }
dim3 cluster_shape() { return grid->spec.cluster; }
bool is_cooperative() { return grid->spec.cooperative; }

}  // namespace emulator
