#include "seqgpu/data/conlleval.hpp"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <tuple>

namespace seqgpu::data {

namespace {

// The prefix and type of a tag; without a hyphen the whole is the prefix.
struct Parts {
  std::string_view prefix;
  std::string_view type;
  bool operator==(const Parts&) const = default;
};

constexpr Parts kOutside{"O", ""};

Parts split(std::string_view tag) {
  const std::size_t hyphen = tag.find('-');
  if (hyphen == std::string_view::npos) return {tag, {}};
  return {tag.substr(0, hyphen), tag.substr(hyphen + 1)};
}

bool is_bracket(std::string_view prefix) { return prefix == "[" || prefix == "]"; }
bool is_chunk_tag(std::string_view prefix) { return prefix != "O" && prefix != "."; }

// Whether (prev, cur) is one of the two-letter pairs in `list`, which are separated by spaces.
bool is_pair(std::string_view prev, std::string_view cur, std::string_view list) {
  if (prev.size() != 1 || cur.size() != 1) return false;
  for (std::size_t i = 0; i + 1 < list.size(); i += 3) {
    if (list[i] == prev[0] && list[i + 1] == cur[0]) return true;
  }
  return false;
}

// The two tables of the script. They are not mirror images: after E, a B of the same type neither ends nor starts.
bool ends_between(const Parts& prev, const Parts& cur) {
  return is_pair(prev.prefix, cur.prefix, "BB BO IB IO EE EI EO") ||
         (is_chunk_tag(prev.prefix) && prev.type != cur.type) || is_bracket(prev.prefix);
}
bool starts_between(const Parts& prev, const Parts& cur) {
  return is_pair(prev.prefix, cur.prefix, "BB IB OB OI EE EI OE") ||
         (is_chunk_tag(cur.prefix) && prev.type != cur.type) || is_bracket(cur.prefix);
}

std::vector<Chunk> lenient_chunks(std::span<const std::string> tags) {
  std::vector<Chunk> chunks;
  bool open = false;
  Parts prev = kOutside;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const Parts cur = split(tags[i]);
    if (ends_between(prev, cur)) open = false;
    if (starts_between(prev, cur)) {
      chunks.push_back({std::string(cur.type), static_cast<int>(i), static_cast<int>(i)});
      open = true;
    } else if (open) {
      chunks.back().last = static_cast<int>(i);
    }
    prev = cur;
  }
  return chunks;
}

std::vector<Chunk> strict_chunks(std::span<const std::string> tags) {
  std::vector<Chunk> chunks;
  bool open = false;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const Parts cur = split(tags[i]);
    const bool known = tags[i] == "O" || ((cur.prefix == "B" || cur.prefix == "I") && !cur.type.empty());
    if (!known) {
      throw Error(ErrorCode::invalid_argument, "chunks_of", "tags[" + std::to_string(i) + "]",
                  "\"" + tags[i] + "\" is none of O, B-type, I-type, as strict mode wants; convert to iob2 first");
    }
    if (cur.prefix == "B") {
      chunks.push_back({std::string(cur.type), static_cast<int>(i), static_cast<int>(i)});
      open = true;
    } else if (open && cur.prefix == "I" && cur.type == chunks.back().type) {
      chunks.back().last = static_cast<int>(i);
    } else {
      open = false;
    }
  }
  return chunks;
}

using TagRows = std::span<const std::vector<std::string>>;

void check_rows(const char* operation, TagRows gold, TagRows predicted) {
  if (gold.size() != predicted.size()) {
    throw Error(ErrorCode::invalid_argument, operation, "predicted",
                "has " + std::to_string(predicted.size()) + " sentences, gold " + std::to_string(gold.size()));
  }
  for (std::size_t s = 0; s < gold.size(); ++s) {
    if (gold[s].size() == predicted[s].size()) continue;
    throw Error(ErrorCode::invalid_argument, operation, "predicted[" + std::to_string(s) + "]",
                "has " + std::to_string(predicted[s].size()) + " tags, gold " + std::to_string(gold[s].size()));
  }
}

double ratio(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole);
}
double harmonic(double p, double r) { return p + r > 0 ? 2 * p * r / (p + r) : 0; }

void finish(TypeScore& score) {
  score.precision = ratio(score.correct, score.found);
  score.recall = ratio(score.correct, score.gold);
  score.f1 = harmonic(score.precision, score.recall);
}

// In percent from the counts, in the script's order of operations: its last digit then comes out the same.
double percent(std::int64_t part, std::int64_t whole) {
  return whole == 0 ? 0 : 100 * static_cast<double>(part) / static_cast<double>(whole);
}

std::string score_text(const TypeScore& score) {
  const double p = percent(score.correct, score.found);
  const double r = percent(score.correct, score.gold);
  char text[96];
  std::snprintf(text, sizeof text, "precision: %6.2f%%; recall: %6.2f%%; FB1: %6.2f", p, r, harmonic(p, r));
  return text;
}

int overlap(const Chunk& a, const Chunk& b) { return std::min(a.last, b.last) - std::max(a.first, b.first) + 1; }

class ConfusionTable {
 public:
  void add(const std::string& gold, const std::string& predicted, bool same, std::size_t sentence, const Chunk& at) {
    auto [it, fresh] = rows_.try_emplace({gold, predicted, !same});
    if (fresh) it->second = {gold, predicted, same, 0, static_cast<std::int64_t>(sentence), at.first, at.last};
    ++it->second.count;
  }
  std::vector<ChunkConfusion> sorted() const {
    std::vector<ChunkConfusion> rows;
    for (const auto& entry : rows_) rows.push_back(entry.second);
    std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.count > b.count; });
    return rows;
  }

 private:
  std::map<std::tuple<std::string, std::string, bool>, ChunkConfusion> rows_;
};

}  // namespace

std::vector<Chunk> chunks_of(std::span<const std::string> tags, ChunkMode mode) {
  return mode == ChunkMode::strict ? strict_chunks(tags) : lenient_chunks(tags);
}

ChunkScores conlleval(TagRows gold, TagRows predicted, ChunkMode mode) {
  check_rows("conlleval", gold, predicted);
  ChunkScores scores;
  for (std::size_t s = 0; s < gold.size(); ++s) {
    const auto want = chunks_of(gold[s], mode);
    const auto got = chunks_of(predicted[s], mode);
    for (const Chunk& chunk : want) ++scores.types[chunk.type].gold;
    for (const Chunk& chunk : got) ++scores.types[chunk.type].found;
    // Both lists are ordered by their first token, and no two chunks of one list share it.
    for (std::size_t i = 0, j = 0; i < want.size() && j < got.size();) {
      if (want[i] == got[j]) ++scores.types[want[i].type].correct;
      const int at = want[i].first, other = got[j].first;
      i += at <= other ? 1 : 0;
      j += other <= at ? 1 : 0;
    }
    scores.tokens += static_cast<std::int64_t>(gold[s].size());
    for (std::size_t i = 0; i < gold[s].size(); ++i) {
      scores.correct_tags += split(gold[s][i]) == split(predicted[s][i]) ? 1 : 0;
    }
  }
  for (auto& entry : scores.types) {
    scores.overall.gold += entry.second.gold;
    scores.overall.found += entry.second.found;
    scores.overall.correct += entry.second.correct;
    finish(entry.second);
  }
  finish(scores.overall);
  scores.accuracy = ratio(scores.correct_tags, scores.tokens);
  return scores;
}

std::string conlleval_report(const ChunkScores& scores) {
  const TypeScore& all = scores.overall;
  std::string text = "processed " + std::to_string(scores.tokens) + " tokens with " + std::to_string(all.gold) +
                     " phrases; found: " + std::to_string(all.found) +
                     " phrases; correct: " + std::to_string(all.correct) + ".\n";
  if (scores.tokens > 0) {
    char accuracy[32];
    std::snprintf(accuracy, sizeof accuracy, "accuracy: %6.2f%%; ", percent(scores.correct_tags, scores.tokens));
    text += accuracy + score_text(all) + "\n";
  }
  for (const auto& [type, score] : scores.types) {
    text += std::string(type.size() < 17 ? 17 - type.size() : 0, ' ') + type + ": " + score_text(score) + "  " +
            std::to_string(score.found) + "\n";
  }
  return text;
}

std::vector<ChunkConfusion> chunk_confusion(TagRows gold, TagRows predicted, ChunkMode mode) {
  check_rows("chunk_confusion", gold, predicted);
  ConfusionTable table;
  for (std::size_t s = 0; s < gold.size(); ++s) {
    const auto want = chunks_of(gold[s], mode);
    const auto got = chunks_of(predicted[s], mode);
    for (const Chunk& w : want) {
      const Chunk* best = nullptr;
      for (const Chunk& g : got) {
        if (overlap(w, g) > std::max(0, best ? overlap(w, *best) : 0)) best = &g;
      }
      const bool same = best && best->first == w.first && best->last == w.last;
      table.add(w.type, best ? best->type : "", same, s, w);
    }
    for (const Chunk& g : got) {
      if (std::none_of(want.begin(), want.end(), [&](const Chunk& w) { return overlap(w, g) > 0; })) {
        table.add("", g.type, false, s, g);
      }
    }
  }
  return table.sorted();
}

}  // namespace seqgpu::data
