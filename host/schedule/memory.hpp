#pragma once

#include <cstdint>
#include <vector>

namespace seqgpu::schedule {

/// Something that needs bytes of the arena between some steps.
struct Block {
  std::int64_t bytes = 0;
  int born = -1;             // position that writes it first; -1: before the program
  std::vector<int> touches;  // positions that read or write it, `born` included
  bool pinned = false;       // read after the program: never reused
  int replaces = -1;         // block whose place it may take over, being written element by element from it
};

struct Layout {
  std::vector<std::int64_t> offsets;  // per block, 64-byte aligned
  std::int64_t bytes = 0;
};

/// First fit, in order of birth. Two blocks share bytes only if one's last touch happens before the other's birth.
Layout lay_out(const std::vector<Block>& blocks, const std::vector<std::vector<bool>>& before);

}  // namespace seqgpu::schedule
