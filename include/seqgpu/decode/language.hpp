#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "seqgpu/decode/ngram_model.hpp"
#include "seqgpu/export.hpp"

namespace seqgpu::decode {

/// A word list as a tree of spellings: each node is a label after its parent. Node 0 is the start of a word.
class SEQGPU_API Lexicon {
 public:
  static constexpr std::int32_t kNone = -1;

  Lexicon() : words_(1) {}
  /// Spells each word with the symbols, the longest that fits first. @param symbols  [C] text of each label
  /// @throws Error{invalid_argument} naming a word that the symbols cannot spell, or an empty one
  static Lexicon spelled(std::span<const std::string> words, std::span<const std::string> symbols);

  /// A word may have several spellings; the same word and spelling twice is one entry.
  /// @throws Error{invalid_argument} for an empty word or spelling, a negative label, or another word's spelling
  void add(const std::string& word, std::span<const std::int32_t> spelling);

  /// The node after `label`, or kNone where no word goes on so.
  std::int32_t child(std::int32_t node, std::int32_t label) const;
  /// The word that ends at the node; empty: none does.
  const std::string& word(std::int32_t node) const { return words_[static_cast<std::size_t>(node)]; }
  std::int64_t size() const { return size_; }  ///< spellings

 private:
  std::vector<std::string> words_;  // [nodes]
  std::unordered_map<std::uint64_t, std::int32_t> children_;
  std::int64_t size_ = 0;
};

/// What beam_search() adds to the frames' log-probability: model_weight * ln p(units) + insertion * number of units.
/// Units are labels where there is no separator, else the words between separators; an empty word is none.
struct Language {
  std::vector<std::string> symbols = {};  ///< [C] text of each label, as the model spells it; the blank's is not used
  std::int32_t separator = -1;            ///< the label between words; -1: every label is a unit
  std::shared_ptr<const NgramModel> model = nullptr;  ///< may be null
  double model_weight = 1;
  double insertion = 0;  ///< added for each unit: above 0 favours more of them
  /// May be null; else every word is one of it, and one separator stands between two.
  std::shared_ptr<const Lexicon> lexicon = nullptr;
};

}  // namespace seqgpu::decode
