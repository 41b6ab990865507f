#pragma once

#include <vector>

#include "decode/prefix_tree.hpp"
#include "seqgpu/decode/language.hpp"

namespace seqgpu::decode {

/// The language terms of every prefix in a tree.
class Fusion {
 public:
  /// @param language  may be null: then all terms are 0
  /// @throws Error{invalid_argument} where it does not fit the classes
  Fusion(std::shared_ptr<const Language> language, std::int64_t classes, std::int32_t blank);

  bool active() const { return language_ != nullptr; }
  /// The terms of a prefix so far: whole units only.
  double score(std::int32_t node) const { return active() ? states_[static_cast<std::size_t>(node)].score : 0; }
  /// What a label after the prefix adds; -infinity where the lexicon forbids it.
  double extension(const PrefixTree& tree, std::int32_t node, std::int32_t label) const;
  /// Notes a node as the tree grows, parents first; does nothing for one it knows.
  void add(const PrefixTree& tree, std::int32_t node);
  /// What the end of the sequence adds; -infinity inside a word of the lexicon.
  double finish(const PrefixTree& tree, std::int32_t node) const;

 private:
  struct State {
    double score = 0;
    NgramModel::History history;
    std::int32_t spelling = 0;  // node of the lexicon
    bool in_word = false;
  };

  bool by_words() const { return language_->separator >= 0; }
  std::int32_t unit(const PrefixTree& tree, std::int32_t node) const;  // the model's id of the word that ends here
  double unit_score(const NgramModel::History& history, std::int32_t unit) const;

  std::shared_ptr<const Language> language_;
  std::vector<std::int32_t> ids_;  // [C] the model's id of each symbol, where labels are units
  std::vector<State> states_;      // [tree]
};

}  // namespace seqgpu::decode
