#include "schedule/memory.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace seqgpu::schedule {
namespace {

constexpr std::int64_t kAlign = 64;

std::size_t at(int i) { return static_cast<std::size_t>(i); }
std::int64_t padded(std::int64_t bytes) { return (bytes + kAlign - 1) / kAlign * kAlign; }

}  // namespace

Layout lay_out(const std::vector<Block>& blocks, const std::vector<std::vector<bool>>& before) {
  std::vector<int> order(blocks.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return blocks[at(a)].born < blocks[at(b)].born; });

  /// All touches of `old` end before `born` starts; `born` itself may read it when it replaces it.
  const auto is_over = [&](const Block& old, int born, bool replaced) {
    if (old.pinned || born < 0) return false;
    return std::all_of(old.touches.begin(), old.touches.end(),
                       [&](int touch) { return before[at(born)][at(touch)] || (replaced && touch == born); });
  };

  Layout layout;
  layout.offsets.assign(blocks.size(), 0);
  std::vector<int> placed;
  for (const int index : order) {
    const Block& block = blocks[at(index)];
    if (block.bytes == 0) continue;
    std::vector<std::pair<std::int64_t, std::int64_t>> taken;  // [begin, end) that others still need
    bool replace = block.replaces >= 0 && blocks[at(block.replaces)].bytes == block.bytes &&
                   is_over(blocks[at(block.replaces)], block.born, true);
    const std::int64_t wanted = replace ? layout.offsets[at(block.replaces)] : 0;
    for (const int other : placed) {
      if (other == block.replaces && replace) continue;
      if (is_over(blocks[at(other)], block.born, false)) continue;
      const std::int64_t begin = layout.offsets[at(other)], end = begin + padded(blocks[at(other)].bytes);
      taken.emplace_back(begin, end);
      if (replace && begin < wanted + padded(block.bytes) && wanted < end) replace = false;
    }
    std::int64_t offset = wanted;
    if (!replace) {
      if (block.replaces >= 0) {  // the loop above left it out while replacing still looked possible
        const std::int64_t begin = layout.offsets[at(block.replaces)];
        if (blocks[at(block.replaces)].bytes > 0 && !is_over(blocks[at(block.replaces)], block.born, false)) {
          taken.emplace_back(begin, begin + padded(blocks[at(block.replaces)].bytes));
        }
      }
      std::sort(taken.begin(), taken.end());
      offset = 0;
      for (const auto& [begin, end] : taken) {
        if (offset + padded(block.bytes) <= begin) break;
        offset = std::max(offset, end);
      }
    }
    layout.offsets[at(index)] = offset;
    layout.bytes = std::max(layout.bytes, offset + padded(block.bytes));
    placed.push_back(index);
  }
  return layout;
}

}  // namespace seqgpu::schedule
