#include <cstring>

#include "emulator/grid.hpp"

// Warp collectives: shuffles, votes, __syncwarp and tensor-core instructions alike. Every lane hands in a request; the
// last one to come answers all, so no lane waits twice. Only __syncwarp, which answers nothing, orders memory: CUDA
// promises no such thing of shuffles, votes, matches and reductions.

namespace emulator {
namespace {

// Lanes named by the mask that have exited or never existed make the collective undefined on the chip.
unsigned checked_mask(const Warp& warp, unsigned mask, const char* name, Location location) {
  if (!(mask >> current->lane & 1))
    fail("%s: the calling lane is not in its mask %08x, at %s", name, mask, describe(location).text);
  if ((mask & ~warp.alive) == 0) return mask;
  if (options().strict || (mask & ~warp.alive & warp.full))
    fail("%s: mask %08x names lanes that exited or do not exist (alive: %08x), at %s", name, mask, warp.alive,
         describe(location).text);
  return mask & warp.alive;
}

// Collectives of other masks may be open too, and may name this lane: it will come to them later, or nobody will and
// the grid is deadlocked.
Collective& join_open(Warp& warp, unsigned mask, const char* name, Answer answer, Location location) {
  for (Collective& open : warp.open) {
    if (open.mask != mask) continue;
    if (std::strcmp(open.name, name) != 0 || open.location.line != location.line ||
        open.location.column != location.column)
      fail("divergent warp: %s at %s meets %s at %s", name, describe(location).text, open.name,
           describe(open.location).text);
    return open;
  }
  Collective& fresh = warp.open.emplace_back();
  fresh.mask = mask;
  fresh.name = name;
  fresh.answer = answer;
  fresh.location = location;
  return fresh;
}

}  // namespace

void warp_collective(unsigned mask, const char* name, void* payload, Answer answer, Location location) {
  Inside inside;
  Warp& warp = current->block->warps[current->warp];
  mask = checked_mask(warp, mask, name, location);
  Collective& mine = join_open(warp, mask, name, answer, location);
  mine.payloads[current->lane] = payload;
  mine.lanes[current->lane] = current;
  mine.here |= 1u << current->lane;
  if (mine.here == mask) {
    ++stats().collectives;
    if (mine.answer)
      mine.answer(mine.payloads, mask);
    else
      order::join_lanes(warp, mask);
    make_ready_warp(mine.lanes, mask);
    mine = warp.open.back();
    warp.open.pop_back();
  }
  wait_here(name, location);
}

void leave_warp(Thread& thread) {
  Warp& warp = thread.block->warps[thread.warp];
  warp.alive &= ~(1u << thread.lane);
  for (const Collective& open : warp.open)
    if (open.mask >> thread.lane & 1)
      fail("a thread exited while its warp waits for it in %s at %s", open.name, describe(open.location).text);
}

unsigned lane_id() { return current->lane; }
unsigned active_mask() { return current->block->warps[current->warp].alive; }

}  // namespace emulator
