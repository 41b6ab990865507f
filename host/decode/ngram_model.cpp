#include "seqgpu/decode/ngram_model.hpp"

#include <algorithm>
#include <fstream>
#include <numbers>

#include "decode/ngram_tables.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::decode {

NgramModel::NgramModel(std::shared_ptr<const Tables> tables) : tables_(std::move(tables)) {}

NgramModel NgramModel::read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorCode::io_failure, "read_arpa", path, "cannot be opened");
  std::string text;
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) text.append(block, static_cast<std::size_t>(in.gcount()));
  if (in.bad() || !in.eof()) throw Error(ErrorCode::io_failure, "read_arpa", path, "cannot be read; is it a folder?");
  return parse(text, path);
}

int NgramModel::order() const { return static_cast<int>(tables_->counts.size()); }

std::int64_t NgramModel::size(int n) const {
  if (n < 1 || n > order()) {
    throw Error(ErrorCode::invalid_argument, "NgramModel::size", "n",
                "must be from 1 to " + std::to_string(order()) + ", got " + std::to_string(n));
  }
  return tables_->counts[static_cast<std::size_t>(n - 1)];
}

std::int32_t NgramModel::id(std::string_view word) const {
  const auto found = tables_->ids.find(std::string(word));
  return found == tables_->ids.end() ? tables_->unknown : found->second;
}

bool NgramModel::contains(std::string_view word) const { return tables_->ids.contains(std::string(word)); }

NgramModel::History NgramModel::start() const {
  if (tables_->begin == Tables::kNone || order() == 1) return {};
  return {tables_->begin};
}

double NgramModel::log_prob(const History& history, std::int32_t word) const {
  const Tables& t = *tables_;
  if (word == Tables::kNone) return kUnlisted;
  if (word < 0 || word >= static_cast<std::int64_t>(t.ids.size())) {
    throw Error(ErrorCode::invalid_argument, "NgramModel", "word",
                "must be an id of this model, got " + std::to_string(word));
  }
  double back_off = 0;
  for (std::size_t first = 0;; ++first) {  // ends with the unigram, which is always listed
    std::int32_t node = 0;
    for (auto i = first; i < history.size() && node != Tables::kNone; ++i) node = t.child(node, history[i]);
    if (node == Tables::kNone) continue;
    const std::int32_t found = t.child(node, word);
    if (found != Tables::kNone) {
      return (back_off + t.ngrams[static_cast<std::size_t>(found)].log10_prob) * std::numbers::ln10;
    }
    back_off += t.ngrams[static_cast<std::size_t>(node)].log10_back_off;
  }
}

double NgramModel::score(History& history, std::int32_t word) const {
  const double log_p = log_prob(history, word);
  if (word == Tables::kNone) {
    history.clear();
    return log_p;
  }
  history.push_back(word);
  const auto kept = static_cast<std::size_t>(order() - 1);
  if (history.size() > kept) history.erase(history.begin(), history.end() - static_cast<std::ptrdiff_t>(kept));
  return log_p;
}

double NgramModel::finish(const History& history) const {
  return tables_->end == Tables::kNone ? 0 : log_prob(history, tables_->end);
}

double NgramModel::sentence(std::string_view words) const {
  History history = start();
  double sum = 0;
  while (!words.empty()) {
    const std::size_t end = std::min(words.find(' '), words.size());
    if (end > 0) sum += score(history, id(words.substr(0, end)));
    words.remove_prefix(std::min(end + 1, words.size()));
  }
  return sum + finish(history);
}

}  // namespace seqgpu::decode
