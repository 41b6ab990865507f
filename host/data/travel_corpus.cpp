#include "seqgpu/data/travel_corpus.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "data/random.hpp"
#include "data/travel_grammar.hpp"

namespace seqgpu::data {

namespace {

// Of the cities and airlines in the test part, this share is held out from training.
constexpr double kHeldOutShare = 0.3;

class Generator {
 public:
  explicit Generator(std::uint64_t seed) : random_(mix(seed)) {
    for (const Rule& rule : travel_rules()) rules_.emplace(rule.name, &rule);
  }

  // A sentence that no earlier call returned.
  Sentence next(bool with_held_out) {
    for (;;) {
      Sentence sentence;
      with_held_out_ = with_held_out;
      expand("sentence", {}, sentence);
      std::string text;
      for (const Token& token : sentence.tokens) text += token.word + ' ';
      if (seen_.insert(std::move(text)).second) return sentence;
    }
  }

 private:
  void expand(std::string_view name, std::string_view slot, Sentence& out) {
    std::string_view rest = choose(name);
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find(' '), rest.size());
      const std::string_view item = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (item.front() == '@') {
        const std::size_t colon = item.find(':');
        expand(item.substr(1, colon - 1), colon == std::string_view::npos ? slot : item.substr(colon + 1), out);
      } else if (item.front() == '<') {
        const std::size_t colon = item.find(':');
        const std::string_view own = item.substr(colon + 1, item.size() - colon - 2);
        value(item.substr(1, colon - 1), own == "WHEN" ? slot : own, out);
      } else {
        out.tokens.push_back({std::string(item), "O"});
      }
    }
  }

  void value(std::string_view name, std::string_view slot, Sentence& out) {
    const std::size_t first = out.tokens.size();
    expand(name, {}, out);
    for (std::size_t i = first; i < out.tokens.size(); ++i) {
      out.tokens[i].tag = (i == first ? "B-" : "I-") + std::string(slot);
    }
  }

  std::string_view choose(std::string_view name) {
    const auto* alternatives = &rules_.at(name)->alternatives;
    const bool city = name == "city";
    if (with_held_out_ && (city || name == "airline") && unit(random_.next()) < kHeldOutShare) {
      alternatives = city ? &held_out_cities() : &held_out_airlines();
    }
    return (*alternatives)[random_.below(alternatives->size())];
  }

  Random random_;
  bool with_held_out_ = false;
  std::unordered_map<std::string_view, const Rule*> rules_;
  std::unordered_set<std::string> seen_;
};

std::vector<std::string> strings(const std::vector<std::string_view>& views) { return {views.begin(), views.end()}; }

// "leave taipei/departure on new_york/destination": an underscore joins the words of one value.
Sentence marked(std::string_view text) {
  Sentence sentence;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    const std::string_view item = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const std::size_t slash = item.find('/');
    std::string_view words = item.substr(0, slash);
    for (bool first = true; !words.empty(); first = false) {
      const std::size_t word_end = std::min(words.find('_'), words.size());
      const std::string tag =
          slash == std::string_view::npos ? "O" : (first ? "B-" : "I-") + std::string(item.substr(slash + 1));
      sentence.tokens.push_back({std::string(words.substr(0, word_end)), tag});
      words.remove_prefix(std::min(word_end + 1, words.size()));
    }
  }
  return sentence;
}

}  // namespace

TravelCorpus travel_corpus(std::uint64_t seed, int sentences) {
  if (sentences < 10 || sentences > 100000) {
    throw Error(ErrorCode::invalid_argument, "travel_corpus", "sentences",
                "must be from 10 to 100000, got " + std::to_string(sentences));
  }
  Generator generator(seed);
  TravelCorpus corpus;
  const int tenth = sentences / 10;
  for (int i = 0; i < sentences - 2 * tenth; ++i) corpus.train.push_back(generator.next(false));
  for (int i = 0; i < tenth; ++i) corpus.dev.push_back(generator.next(false));
  for (int i = 0; i < tenth; ++i) corpus.test.push_back(generator.next(true));
  return corpus;
}

std::vector<std::string> travel_held_out_cities() { return strings(held_out_cities()); }
std::vector<std::string> travel_held_out_airlines() { return strings(held_out_airlines()); }

std::vector<MinimalPair> travel_minimal_pairs() {
  return {
      {"taipei on november 2nd", marked("arrive in taipei/destination on november_2nd/arrival_time"),
       marked("leave taipei/departure on november_2nd/departure_time")},
      {"two",
       marked("book a ticket to oslo/destination for two/passengers from paris/departure after noon/departure_time"),
       marked("book a ticket to oslo/destination from paris/departure after two/departure_time")},
      {"singapore", marked("show me flights from singapore/departure to rome/destination on friday/departure_time"),
       marked("show me flights to rome/destination on singapore_airlines/airline on friday/departure_time")},
      {"taipei", marked("taipei/departure is where i want to leave from"),
       marked("taipei/destination is where i want to arrive")},
      {"november 2nd", marked("on november_2nd/departure_time i want to leave new_york/departure for oslo/destination"),
       marked("on november_2nd/arrival_time i want to arrive in new_york/destination")},
      {"paris and rome", marked("paris/departure and rome/destination , in that order"),
       marked("paris/destination and rome/departure , the other way round")},
  };
}

}  // namespace seqgpu::data
