#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

namespace seqgpu::decode {

/// Prefixes as a tree: a node is a label after a parent, so equal prefixes are one node.
class PrefixTree {
 public:
  static constexpr std::int32_t kRoot = 0;
  struct Node {
    std::int32_t parent, label, length;
  };

  PrefixTree() : nodes_{{-1, -1, 0}} {}

  const Node& operator[](std::int32_t node) const { return nodes_[static_cast<std::size_t>(node)]; }
  std::int32_t size() const { return static_cast<std::int32_t>(nodes_.size()); }

  std::int32_t child(std::int32_t parent, std::int32_t label) {
    const auto key = static_cast<std::uint64_t>(parent) << 32 | static_cast<std::uint32_t>(label);
    const auto [at, is_new] = children_.try_emplace(key, size());
    if (is_new) nodes_.push_back({parent, label, (*this)[parent].length + 1});
    return at->second;
  }

  std::vector<std::int32_t> labels(std::int32_t node) const {
    std::vector<std::int32_t> labels(static_cast<std::size_t>((*this)[node].length));
    for (auto i = labels.size(); i-- > 0; node = (*this)[node].parent) labels[i] = (*this)[node].label;
    return labels;
  }

  /// Whether prefix a comes before b: shorter first, then the lower label at the first difference.
  bool before(Node a, Node b) const {
    if (a.length != b.length) return a.length < b.length;
    bool is_before = false;
    while (a.length > 0) {
      if (a.label != b.label) is_before = a.label < b.label;
      if (a.parent == b.parent) break;
      a = (*this)[a.parent];
      b = (*this)[b.parent];
    }
    return is_before;
  }

 private:
  std::vector<Node> nodes_;
  std::unordered_map<std::uint64_t, std::int32_t> children_;
};

}  // namespace seqgpu::decode
