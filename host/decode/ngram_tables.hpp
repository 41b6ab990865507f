#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "seqgpu/decode/ngram_model.hpp"

namespace seqgpu::decode {

/// N-grams as a tree: an n-gram is a word after its context. Node 0 is the empty context; node 1 + id is a unigram.
struct NgramModel::Tables {
  static constexpr std::int32_t kNone = -1;
  struct Ngram {
    double log10_prob = 0, log10_back_off = 0;
  };

  std::vector<Ngram> ngrams{1};
  std::vector<std::int64_t> counts;  // [order]
  std::unordered_map<std::string, std::int32_t> ids;
  std::unordered_map<std::uint64_t, std::int32_t> children;  // of two words and more
  std::int32_t unknown = kNone, begin = kNone, end = kNone;  // <unk>, <s>, </s>

  static std::uint64_t key(std::int32_t node, std::int32_t word) {
    return static_cast<std::uint64_t>(node) << 32 | static_cast<std::uint32_t>(word);
  }
  /// kNone where it is not listed.
  std::int32_t child(std::int32_t node, std::int32_t word) const {
    if (node == 0) return word + 1;
    const auto found = children.find(key(node, word));
    return found == children.end() ? kNone : found->second;
  }
};

}  // namespace seqgpu::decode
