#include "seqgpu/data/vocabulary.hpp"

#include <algorithm>
#include <charconv>
#include <limits>
#include <map>
#include <set>

#include "data/utf8.hpp"

namespace seqgpu::data {

namespace {

// A code point, or one byte where the text is not UTF-8.
std::size_t letter_length(std::string_view text, std::size_t pos) {
  return std::max<std::size_t>(1, utf8_length(text, pos));
}

std::vector<std::string_view> letters_of(std::string_view text) {
  std::vector<std::string_view> letters;
  for (std::size_t pos = 0; pos < text.size(); pos += letters.back().size()) {
    letters.push_back(text.substr(pos, letter_length(text, pos)));
  }
  return letters;
}

using Counts = std::map<std::string, std::int64_t>;

// Frequent first; equal counts in order of bytes, so that ids do not depend on the order of sentences.
std::vector<std::string> by_frequency(const Counts& counts, std::int64_t min_count) {
  std::vector<std::pair<std::string, std::int64_t>> items;
  for (const auto& item : counts) {
    if (item.second >= min_count) items.push_back(item);
  }
  std::stable_sort(items.begin(), items.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<std::string> names;
  names.reserve(items.size());
  for (auto& item : items) names.push_back(std::move(item.first));
  return names;
}

void check_id(const char* operation, std::int32_t id, std::size_t size) {
  if (id >= 0 && static_cast<std::size_t>(id) < size) return;
  throw Error(ErrorCode::invalid_argument, operation, "id",
              "must be from 0 to " + std::to_string(size - 1) + ", got " + std::to_string(id));
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += c;
    }
  }
  return out;
}

// Lines of saved text, each with its number for messages.
class Lines {
 public:
  Lines(const char* operation, std::string_view text) : operation_(operation), text_(text) {}
  bool done() const { return text_.empty(); }
  std::string_view next() {
    ++number_;
    const std::size_t end = text_.find('\n');
    if (end == std::string_view::npos) fail(done() ? "expected another line" : "the last line is cut off");
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(end + 1);
    return line;
  }
  std::string next_entry() {
    const std::string_view line = next();
    std::string out;
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (line[i] != '\\') {
        out += line[i];
        continue;
      }
      const char c = ++i < line.size() ? line[i] : '\0';
      if (c != '\\' && c != 'n' && c != 'r') fail("unknown escape; \\\\, \\n and \\r exist");
      out += c == 'n' ? '\n' : c == 'r' ? '\r' : '\\';
    }
    return out;
  }
  // "key number" -> number
  std::int64_t next_number(std::string_view key) {
    const std::string_view line = next();
    std::int64_t value = 0;
    if (!line.starts_with(key) || line.size() <= key.size() || line[key.size()] != ' ') {
      fail("expected \"" + std::string(key) + " NUMBER\"");
    }
    const char* end = line.data() + line.size();
    const auto result = std::from_chars(line.data() + key.size() + 1, end, value);
    if (result.ec != std::errc() || result.ptr != end || value < 0) fail("expected a number from 0 up");
    return value;
  }
  void expect(std::string_view wanted) {
    if (next() != wanted) fail("expected \"" + std::string(wanted) + "\"");
  }
  [[noreturn]] void fail(const std::string& detail) const {
    throw Error(ErrorCode::invalid_file, operation_, "line " + std::to_string(number_), detail);
  }

 private:
  const char* operation_;
  std::string_view text_;
  int number_ = 0;
};

void add_entry(const Lines& lines, std::string entry, std::vector<std::string>& names,
               std::unordered_map<std::string, std::int32_t>& ids, std::int32_t id) {
  if (!ids.emplace(entry, id).second) lines.fail("\"" + escape(entry) + "\" occurs twice");
  names.push_back(std::move(entry));
}

constexpr std::string_view kVocabularyHeader = "seqgpu vocabulary 1";
constexpr std::string_view kLabelsHeader = "seqgpu labels 1";
constexpr std::string_view kTrigramsHeader = "seqgpu trigrams 1";

std::uint64_t fnv1a(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace

Vocabulary::Vocabulary() : words_{"<unk>"} { ids_.emplace(words_[0], kUnknown); }

Vocabulary Vocabulary::build(std::span<const Sentence> sentences, const VocabularyOptions& options) {
  Vocabulary vocabulary;
  vocabulary.options_ = options;
  Counts counts;
  for (const Sentence& sentence : sentences) {
    for (const Token& token : sentence.tokens) ++counts[vocabulary.normalise(token.word)];
  }
  for (std::string& word : by_frequency(counts, options.min_count)) {
    if (vocabulary.ids_.emplace(word, vocabulary.size()).second) vocabulary.words_.push_back(std::move(word));
  }
  return vocabulary;
}

std::string Vocabulary::normalise(std::string_view word) const {
  std::string out(word);
  for (char& c : out) {
    if (options_.digits_to_zero && c >= '0' && c <= '9') c = '0';
    if (options_.lower_case && c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::int32_t Vocabulary::id(std::string_view word) const {
  const auto found = ids_.find(normalise(word));
  return found == ids_.end() ? kUnknown : found->second;
}

const std::string& Vocabulary::word(std::int32_t id) const {
  check_id("Vocabulary::word", id, words_.size());
  return words_[static_cast<std::size_t>(id)];
}

std::string Vocabulary::to_string() const {
  std::string text = std::string(kVocabularyHeader) + "\nmin_count " + std::to_string(options_.min_count) +
                     "\ndigits_to_zero " + (options_.digits_to_zero ? "1" : "0") + "\nlower_case " +
                     (options_.lower_case ? "1" : "0") + "\n";
  for (const std::string& word : words_) text += escape(word) + "\n";
  return text;
}

Vocabulary Vocabulary::from_string(std::string_view text) {
  Lines lines("Vocabulary::from_string", text);
  lines.expect(kVocabularyHeader);
  Vocabulary vocabulary;
  vocabulary.options_.min_count = lines.next_number("min_count");
  vocabulary.options_.digits_to_zero = lines.next_number("digits_to_zero") != 0;
  vocabulary.options_.lower_case = lines.next_number("lower_case") != 0;
  lines.expect(vocabulary.words_[0]);
  while (!lines.done()) {
    std::string word = lines.next_entry();
    add_entry(lines, std::move(word), vocabulary.words_, vocabulary.ids_, vocabulary.size());
  }
  return vocabulary;
}

Labels::Labels() : tags_{"O"} { ids_.emplace(tags_[0], 0); }

Labels Labels::build(std::span<const Sentence> sentences) {
  std::set<std::string> tags;
  for (const Sentence& sentence : sentences) {
    for (const Token& token : sentence.tokens) tags.insert(token.tag);
  }
  tags.erase("O");
  Labels labels;
  for (const std::string& tag : tags) {
    labels.ids_.emplace(tag, labels.size());
    labels.tags_.push_back(tag);
  }
  return labels;
}

bool Labels::contains(std::string_view tag) const { return ids_.contains(std::string(tag)); }

std::int32_t Labels::id(std::string_view tag) const {
  const auto found = ids_.find(std::string(tag));
  if (found == ids_.end()) {
    throw Error(ErrorCode::invalid_argument, "Labels::id", "tag",
                "\"" + std::string(tag) + "\" is not among the " + std::to_string(tags_.size()) + " labels");
  }
  return found->second;
}

const std::string& Labels::tag(std::int32_t id) const {
  check_id("Labels::tag", id, tags_.size());
  return tags_[static_cast<std::size_t>(id)];
}

std::string Labels::to_string() const {
  std::string text = std::string(kLabelsHeader) + "\n";
  for (const std::string& tag : tags_) text += escape(tag) + "\n";
  return text;
}

Labels Labels::from_string(std::string_view text) {
  Lines lines("Labels::from_string", text);
  lines.expect(kLabelsHeader);
  Labels labels;
  lines.expect(labels.tags_[0]);
  while (!lines.done()) {
    std::string tag = lines.next_entry();
    add_entry(lines, std::move(tag), labels.tags_, labels.ids_, labels.size());
  }
  return labels;
}

std::vector<std::string> letter_trigrams(std::string_view word) {
  const std::string padded = "#" + std::string(word) + "#";
  const auto letters = letters_of(padded);
  std::vector<std::string> trigrams;
  for (std::size_t i = 0; i + 2 < letters.size(); ++i) {
    trigrams.push_back(std::string(letters[i]) + std::string(letters[i + 1]) + std::string(letters[i + 2]));
  }
  return trigrams;
}

TrigramFeatures TrigramFeatures::hashed(std::int32_t buckets) {
  if (buckets < 1 || buckets == std::numeric_limits<std::int32_t>::max()) {
    throw Error(ErrorCode::invalid_argument, "TrigramFeatures::hashed", "buckets",
                "must be from 1 to 2^31 - 2, got " + std::to_string(buckets));
  }
  TrigramFeatures features;
  features.buckets_ = buckets;
  return features;
}

TrigramFeatures TrigramFeatures::listed(std::span<const Sentence> sentences, std::int64_t min_count) {
  Counts counts;
  for (const Sentence& sentence : sentences) {
    for (const Token& token : sentence.tokens) {
      for (std::string& trigram : letter_trigrams(token.word)) ++counts[std::move(trigram)];
    }
  }
  TrigramFeatures features;
  for (std::string& trigram : by_frequency(counts, min_count)) {
    features.ids_.emplace(trigram, features.size());
    features.trigrams_.push_back(std::move(trigram));
  }
  return features;
}

std::vector<std::int32_t> TrigramFeatures::ids(std::string_view word) const {
  std::vector<std::int32_t> ids;
  for (const std::string& trigram : letter_trigrams(word)) {
    if (buckets_ > 0) {
      ids.push_back(1 + static_cast<std::int32_t>(fnv1a(trigram) % static_cast<std::uint64_t>(buckets_)));
    } else {
      const auto found = ids_.find(trigram);
      ids.push_back(found == ids_.end() ? 1 : found->second);
    }
  }
  return ids;
}

std::int32_t TrigramFeatures::size() const {
  return buckets_ > 0 ? 1 + buckets_ : 2 + static_cast<std::int32_t>(trigrams_.size());
}

std::string TrigramFeatures::to_string() const {
  std::string text = std::string(kTrigramsHeader) + "\nbuckets " + std::to_string(buckets_) + "\n";
  for (const std::string& trigram : trigrams_) text += escape(trigram) + "\n";
  return text;
}

TrigramFeatures TrigramFeatures::from_string(std::string_view text) {
  Lines lines("TrigramFeatures::from_string", text);
  lines.expect(kTrigramsHeader);
  TrigramFeatures features;
  const std::int64_t buckets = lines.next_number("buckets");
  if (buckets >= std::numeric_limits<std::int32_t>::max()) lines.fail("too many buckets");
  if (buckets > 0 && !lines.done()) lines.fail("hashed features list no trigrams");
  features.buckets_ = static_cast<std::int32_t>(buckets);
  while (!lines.done()) {
    std::string trigram = lines.next_entry();
    add_entry(lines, std::move(trigram), features.trigrams_, features.ids_, features.size());
  }
  return features;
}

std::string word_shape(std::string_view word, bool compact) {
  std::string shape;
  for (const std::string_view letter : letters_of(word)) {
    const char c = letter[0];
    const bool upper = c >= 'A' && c <= 'Z';
    const bool lower = (c >= 'a' && c <= 'z') || static_cast<unsigned char>(c) >= 0x80;
    const char mark = upper ? 'X' : lower ? 'x' : c >= '0' && c <= '9' ? 'd' : c;
    if (!compact || shape.empty() || shape.back() != mark) shape += mark;
  }
  return shape;
}

std::string word_prefix(std::string_view word, int letters) {
  std::size_t end = 0;
  for (int i = 0; i < letters && end < word.size(); ++i) end += letter_length(word, end);
  return std::string(word.substr(0, end));
}

std::string word_suffix(std::string_view word, int letters) {
  const auto all = letters_of(word);
  const std::size_t count = std::min(all.size(), static_cast<std::size_t>(std::max(0, letters)));
  std::size_t bytes = 0;
  for (std::size_t i = all.size() - count; i < all.size(); ++i) bytes += all[i].size();
  return std::string(word.substr(word.size() - bytes));
}

}  // namespace seqgpu::data
