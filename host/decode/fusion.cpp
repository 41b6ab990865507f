#include "decode/fusion.hpp"

#include <cmath>
#include <limits>

#include "seqgpu/error.hpp"

namespace seqgpu::decode {

namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

void check(const Language& language, std::int64_t classes, std::int32_t blank) {
  const auto refuse = [](const char* argument, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, "beam_search", argument, detail);
  };
  if (static_cast<std::int64_t>(language.symbols.size()) != classes) {
    refuse("language.symbols",
           "must be [C], got " + std::to_string(language.symbols.size()) + " for C=" + std::to_string(classes));
  }
  if (language.separator < -1 || language.separator >= classes || language.separator == blank) {
    refuse("language.separator",
           "must be -1 or a label other than the blank, got " + std::to_string(language.separator));
  }
  if (language.lexicon && language.separator < 0) {
    refuse("language.separator", "is needed with a lexicon: without one, words have no end");
  }
  if (!std::isfinite(language.model_weight)) refuse("language.model_weight", "must be finite");
  if (!std::isfinite(language.insertion)) refuse("language.insertion", "must be finite");
}

}  // namespace

Fusion::Fusion(std::shared_ptr<const Language> language, std::int64_t classes, std::int32_t blank)
    : language_(std::move(language)) {
  if (!active()) return;
  check(*language_, classes, blank);
  State start;
  if (language_->model) {
    start.history = language_->model->start();
    if (!by_words()) {
      for (const std::string& symbol : language_->symbols) ids_.push_back(language_->model->id(symbol));
    }
  }
  states_.push_back(std::move(start));
}

double Fusion::extension(const PrefixTree& tree, std::int32_t node, std::int32_t label) const {
  if (!active()) return 0;
  const State& state = states_[static_cast<std::size_t>(node)];
  if (!by_words()) {
    return unit_score(state.history, language_->model ? ids_[static_cast<std::size_t>(label)] : 0);
  }
  const Lexicon* lexicon = language_->lexicon.get();
  if (label != language_->separator) {
    return lexicon && lexicon->child(state.spelling, label) == Lexicon::kNone ? kNever : 0;
  }
  if (lexicon && lexicon->word(state.spelling).empty()) return kNever;
  return state.in_word ? unit_score(state.history, unit(tree, node)) : 0;
}

void Fusion::add(const PrefixTree& tree, std::int32_t node) {
  if (!active() || static_cast<std::size_t>(node) < states_.size()) return;
  const PrefixTree::Node& prefix = tree[node];
  const State& parent = states_[static_cast<std::size_t>(prefix.parent)];
  State state;
  state.score = parent.score + extension(tree, prefix.parent, prefix.label);
  state.history = parent.history;
  if (by_words() && prefix.label != language_->separator) {
    state.in_word = true;
    if (language_->lexicon) state.spelling = language_->lexicon->child(parent.spelling, prefix.label);
  } else if (language_->model && (!by_words() || parent.in_word)) {
    const auto word = by_words() ? unit(tree, prefix.parent) : ids_[static_cast<std::size_t>(prefix.label)];
    language_->model->score(state.history, word);
  }
  states_.push_back(std::move(state));
}

double Fusion::finish(const PrefixTree& tree, std::int32_t node) const {
  if (!active()) return 0;
  const State& state = states_[static_cast<std::size_t>(node)];
  NgramModel::History history = state.history;
  double score = 0;
  if (state.in_word) {
    if (language_->lexicon && language_->lexicon->word(state.spelling).empty()) return kNever;
    const std::int32_t word = unit(tree, node);
    score = unit_score(history, word);
    if (language_->model) language_->model->score(history, word);
  }
  return language_->model ? score + language_->model_weight * language_->model->finish(history) : score;
}

std::int32_t Fusion::unit(const PrefixTree& tree, std::int32_t node) const {
  if (!language_->model) return 0;
  if (language_->lexicon) {
    return language_->model->id(language_->lexicon->word(states_[static_cast<std::size_t>(node)].spelling));
  }
  std::vector<std::int32_t> labels;
  for (; tree[node].length > 0 && tree[node].label != language_->separator; node = tree[node].parent) {
    labels.push_back(tree[node].label);
  }
  std::string word;
  for (auto u = labels.size(); u-- > 0;) word += language_->symbols[static_cast<std::size_t>(labels[u])];
  return language_->model->id(word);
}

double Fusion::unit_score(const NgramModel::History& history, std::int32_t unit) const {
  if (!language_->model) return language_->insertion;
  return language_->model_weight * language_->model->log_prob(history, unit) + language_->insertion;
}

}  // namespace seqgpu::decode
