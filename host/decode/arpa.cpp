// The ARPA format: "\data\", a line "ngram N=count" for each order, a section "\N-grams:" of lines
// "log10(p) w1 ... wN [log10(back-off)]" for each, "\end\".
#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "decode/ngram_tables.hpp"
#include "seqgpu/error.hpp"

namespace seqgpu::decode {

namespace {

constexpr std::string_view kSpace = " \t\v\f";
constexpr int kMostOrder = 64;      // bounds what a hostile header can ask for
constexpr double kMostLog10 = 1e6;  // sums of them stay finite; writers say -99 for zero

std::string_view trim(std::string_view line) {
  while (!line.empty() && (line.back() == '\r' || kSpace.find(line.back()) != std::string_view::npos)) {
    line.remove_suffix(1);
  }
  line.remove_prefix(std::min(line.find_first_not_of(kSpace), line.size()));
  return line;
}

std::string quoted(std::string_view text) {
  return "\"" + std::string(text.substr(0, 64)) + (text.size() > 64 ? "..." : "") + "\"";
}

}  // namespace

// Reads one file. A friend in all but name: it fills the Tables it is given.
template <class Tables>
class ArpaParser {
 public:
  ArpaParser(std::string_view text, std::string name, Tables& tables)
      : rest_(text), name_(std::move(name)), tables_(tables) {}

  void run() {
    while (next_line() && line_ != "\\data\\") {
    }
    if (line_ != "\\data\\") fail("no line \\data\\ in the file; is this an ARPA language model?");
    read_counts();
    for (int n = 1; n <= order(); ++n) read_section(n);
    if (line_ != "\\end\\") fail("expected \\end\\, found " + found());
    const auto id = [&](const char* word) {
      const auto at = tables_.ids.find(word);
      return at == tables_.ids.end() ? Tables::kNone : at->second;
    };
    tables_.unknown = id("<unk>");
    if (tables_.unknown == Tables::kNone) tables_.unknown = id("<UNK>");
    tables_.begin = id("<s>");
    tables_.end = id("</s>");
  }

 private:
  // Leaves the section's or the file's end in line_.
  void read_counts() {
    while (next_line() && line_.starts_with("ngram")) {
      std::string_view rest = trim(line_.substr(5));
      const std::size_t equals = rest.find('=');
      std::int64_t n = 0, count = 0;
      if (equals == std::string_view::npos || !integer(trim(rest.substr(0, equals)), n) ||
          !integer(trim(rest.substr(equals + 1)), count)) {
        fail("expected a count as in \"ngram 1=42\", found " + found());
      }
      if (n != order() + 1)
        fail("the count of order " + std::to_string(order() + 1) + " belongs here, found " + found());
      if (n > kMostOrder) fail("an order above " + std::to_string(kMostOrder) + " is not supported");
      if (count < (n == 1 ? 1 : 0)) fail("a count must be positive, found " + found());
      tables_.counts.push_back(count);
    }
    if (order() == 0) fail("expected \"ngram 1=\" and a count, found " + found());
  }

  void read_section(int n) {
    const std::string header = "\\" + std::to_string(n) + "-grams:";
    if (line_ != header) fail("expected " + header + ", found " + found());
    const std::int64_t expected = tables_.counts[static_cast<std::size_t>(n - 1)];
    std::int64_t entries = 0;
    while (next_line() && !is_mark(line_)) {
      if (++entries > expected) {
        fail("more " + std::to_string(n) + "-grams than the " + std::to_string(expected) +
             " that \\data\\ counts; correct the count");
      }
      read_ngram(n);
    }
    if (at_end_) fail("the file ends inside " + header + "; is it truncated?");
    if (entries < expected) {
      fail("\\data\\ counts " + std::to_string(expected) + " " + std::to_string(n) + "-grams, the section has " +
           std::to_string(entries) + "; correct the count, or is the file truncated?");
    }
  }

  void read_ngram(int n) {
    split();
    const auto words = static_cast<std::size_t>(n);
    if (fields_.size() != words + 1 && !(fields_.size() == words + 2 && n < order())) {
      fail("expected a log-probability, " + std::to_string(n) + (n == 1 ? " word" : " words") +
           (n < order() ? " and perhaps a back-off weight" : " and no back-off weight, this being the highest order") +
           "; found " + std::to_string(fields_.size()) + " fields");
    }
    typename Tables::Ngram ngram;
    ngram.log10_prob = number(fields_[0], "log-probability");
    if (ngram.log10_prob > 0) fail("log-probability " + quoted(fields_[0]) + " is above 0");
    const bool has_back_off = fields_.size() == words + 2;
    if (has_back_off) ngram.log10_back_off = number(fields_.back(), "back-off weight");

    if (tables_.ngrams.size() >= std::numeric_limits<std::int32_t>::max()) fail("more than 2^31 n-grams");
    const auto node = static_cast<std::int32_t>(tables_.ngrams.size());
    const std::int32_t known = n == 1 ? add_word(node) : add_longer(words, node);
    if (known != node) {
      fail("duplicate of the " + std::to_string(n) + "-gram at line " +
           std::to_string(lines_[static_cast<std::size_t>(known)]) + "; remove one of them");
    }
    tables_.ngrams.push_back(ngram);
    lines_.push_back(number_);
    has_back_off_.push_back(has_back_off);
  }

  // The node of the word, `node` itself where it is new.
  std::int32_t add_word(std::int32_t node) {
    return tables_.ids.try_emplace(std::string(fields_[1]), node - 1).first->second + 1;
  }

  std::int32_t add_longer(std::size_t words, std::int32_t node) {
    std::int32_t context = 0, word = 0;
    for (std::size_t i = 1; i <= words; ++i) {
      const auto id = tables_.ids.find(std::string(fields_[i]));
      if (id == tables_.ids.end()) fail("word " + quoted(fields_[i]) + " is not among the unigrams");
      word = id->second;
      if (i == words) break;
      context = tables_.child(context, word);
      if (context == Tables::kNone) {
        fail("the context " + quoted(joined(i)) + " is not among the " + std::to_string(i) + "-grams");
      }
    }
    if (!has_back_off_[static_cast<std::size_t>(context)]) {
      fail("the context " + quoted(joined(words - 1)) + " has no back-off weight at line " +
           std::to_string(lines_[static_cast<std::size_t>(context)]) + "; add one, 0 for none");
    }
    return tables_.children.try_emplace(Tables::key(context, word), node).first->second;
  }

  std::string joined(std::size_t words) const {
    std::string text(fields_[1]);
    for (std::size_t i = 2; i <= words; ++i) text += " " + std::string(fields_[i]);
    return text;
  }

  // To the next line that is not blank, trimmed; false, and line_ empty, at the end of the file.
  bool next_line() {
    while (!rest_.empty()) {
      ++number_;
      const std::size_t end = std::min(rest_.find('\n'), rest_.size());
      const std::string_view line = rest_.substr(0, end);
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (line.find('\0') != std::string_view::npos) fail("NUL byte; is this a text file?");
      line_ = trim(line);
      if (!line_.empty()) return true;
    }
    line_ = {};
    at_end_ = true;
    return false;
  }

  // "\2-grams:" or "\end\"; a probability never begins so.
  static bool is_mark(std::string_view line) { return line.front() == '\\'; }

  void split() {
    fields_.clear();
    for (std::size_t at = 0; at < line_.size();) {
      const std::size_t end = std::min(line_.find_first_of(kSpace, at), line_.size());
      fields_.push_back(line_.substr(at, end - at));
      at = std::min(line_.find_first_not_of(kSpace, end), line_.size());
    }
  }

  static bool integer(std::string_view text, std::int64_t& value) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    return error == std::errc() && end == text.data() + text.size();
  }

  double number(std::string_view text, const char* what) const {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) {
      fail(std::string(what) + " " + quoted(text) + " is no finite number");
    }
    if (std::abs(value) > kMostLog10) fail(std::string(what) + " " + quoted(text) + " is out of range");
    return value;
  }

  int order() const { return static_cast<int>(tables_.counts.size()); }
  std::string found() const { return at_end_ ? "the end of the file" : quoted(line_); }

  [[noreturn]] void fail(const std::string& detail) const {
    throw Error(ErrorCode::invalid_file, "read_arpa", name_ + ":" + std::to_string(number_), detail);
  }

  std::string_view rest_, line_;
  std::string name_;
  Tables& tables_;
  std::vector<std::string_view> fields_;
  std::vector<std::int64_t> lines_{0};    // [ngrams] where each is
  std::vector<bool> has_back_off_{true};  // [ngrams]
  std::int64_t number_ = 0;               // of line_, from 1
  bool at_end_ = false;
};

NgramModel NgramModel::parse(std::string_view text, const std::string& name) {
  auto tables = std::make_shared<Tables>();
  ArpaParser<Tables>(text, name, *tables).run();
  return NgramModel(std::move(tables));
}

}  // namespace seqgpu::decode
