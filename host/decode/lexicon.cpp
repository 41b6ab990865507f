#include <algorithm>

#include "seqgpu/decode/language.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::decode {

namespace {

[[noreturn]] void refuse(const std::string& argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "Lexicon", argument, detail);
}

std::uint64_t key(std::int32_t node, std::int32_t label) {
  return static_cast<std::uint64_t>(node) << 32 | static_cast<std::uint32_t>(label);
}

}  // namespace

Lexicon Lexicon::spelled(std::span<const std::string> words, std::span<const std::string> symbols) {
  std::unordered_map<std::string, std::int32_t> labels;
  std::size_t longest = 0;
  for (std::size_t c = 0; c < symbols.size(); ++c) {
    if (symbols[c].empty()) continue;
    labels.try_emplace(symbols[c], static_cast<std::int32_t>(c));
    longest = std::max(longest, symbols[c].size());
  }
  Lexicon lexicon;
  for (const std::string& word : words) {
    std::vector<std::int32_t> spelling;
    for (std::size_t at = 0; at < word.size();) {
      std::size_t length = std::min(longest, word.size() - at);
      while (length > 0 && !labels.contains(word.substr(at, length))) --length;
      if (length == 0) refuse(word, "cannot be spelled with the symbols from byte " + std::to_string(at) + " on");
      spelling.push_back(labels.at(word.substr(at, length)));
      at += length;
    }
    lexicon.add(word, spelling);
  }
  return lexicon;
}

void Lexicon::add(const std::string& word, std::span<const std::int32_t> spelling) {
  if (word.empty()) refuse("word", "must not be empty");
  if (spelling.empty()) refuse(word, "must have a spelling");
  if (*std::min_element(spelling.begin(), spelling.end()) < 0) refuse(word, "is spelled with a negative label");
  std::int32_t node = 0;
  for (const std::int32_t label : spelling) {
    const auto [at, is_new] = children_.try_emplace(key(node, label), static_cast<std::int32_t>(words_.size()));
    if (is_new) words_.emplace_back();
    node = at->second;
  }
  std::string& here = words_[static_cast<std::size_t>(node)];
  if (here == word) return;
  if (!here.empty()) refuse(word, "is spelled as \"" + here + "\" is");
  here = word;
  ++size_;
}

std::int32_t Lexicon::child(std::int32_t node, std::int32_t label) const {
  const auto found = children_.find(key(node, label));
  return found == children_.end() ? kNone : found->second;
}

}  // namespace seqgpu::decode
