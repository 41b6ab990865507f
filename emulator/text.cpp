#include <cstdio>
#include <cstring>

#include "emulator/grid.hpp"

namespace emulator {

Text describe(Location location) {
  Text out;
  const char* file = location.file ? location.file : "an unknown place";
  if (location.column)
    std::snprintf(out.text, sizeof out.text, "%s:%d:%d", file, location.line, location.column);
  else if (location.line)
    std::snprintf(out.text, sizeof out.text, "%s:%d", file, location.line);
  else
    std::snprintf(out.text, sizeof out.text, "%s", file);
  return out;
}

Text describe(const Thread& thread) {
  Text out;
  const uint3 b = thread.block->index, t = thread.index;
  std::snprintf(out.text, sizeof out.text, "block (%u,%u,%u) thread (%u,%u,%u), warp %u lane %u", b.x, b.y, b.z, t.x,
                t.y, t.z, thread.warp, thread.lane);
  return out;
}

Text describe_thread(unsigned id) {
  Text out;
  const unsigned number = id / grid->threads_per_block, rank = id % grid->threads_per_block;
  const dim3 blocks = grid->spec.grid, threads = grid->spec.block;
  std::snprintf(out.text, sizeof out.text, "block (%u,%u,%u) thread (%u,%u,%u)", number % blocks.x,
                number / blocks.x % blocks.y, number / blocks.x / blocks.y, rank % threads.x,
                rank / threads.x % threads.y, rank / threads.x / threads.y);
  return out;
}

}  // namespace emulator
