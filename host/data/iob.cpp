#include "seqgpu/data/iob.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>

#include "data/utf8.hpp"

namespace seqgpu::data {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr std::string_view kSeparators = " \t";
constexpr const char* kCarriageReturn = "must not end in a carriage return";

struct Fault {
  std::size_t offset;  // in the line
  std::string detail;
};

std::optional<Fault> check_bytes(std::string_view line) {
  for (std::size_t pos = 0; pos < line.size();) {
    if (line[pos] == '\0') return Fault{pos, "NUL byte; is this a text file?"};
    const std::size_t length = utf8_length(line, pos);
    if (length == 0) return Fault{pos, "byte that is not UTF-8; convert the file"};
    pos += length;
  }
  return std::nullopt;
}

// Why `tag` is none; empty if it is one.
std::string tag_fault(std::string_view tag) {
  constexpr std::string_view kExpected = "; expected O or a prefix of B I E S L U, a hyphen and a type, as in B-city";
  const auto quoted = "tag \"" + std::string(tag.substr(0, 64)) + "\" ";
  if (tag == "O") return {};
  if (tag.size() < 2 || tag[1] != '-') return quoted + "has no prefix and type" + std::string(kExpected);
  if (std::string_view("BIESLU").find(tag[0]) == std::string_view::npos) {
    return quoted + "has an unknown prefix" + std::string(kExpected);
  }
  if (tag.size() == 2) return quoted + "has an empty type" + std::string(kExpected);
  return {};
}

// "# key = value"; a token line that begins so is told apart by its tab.
bool is_comment(std::string_view line) {
  if (line.substr(0, 2) != "# " || line.find('\t') != std::string_view::npos) return false;
  const std::size_t key = line.find_first_not_of(' ', 1);
  const std::size_t equals = line.find('=');
  return key != std::string_view::npos && equals != std::string_view::npos && equals > key;
}

bool is_boundary(std::string_view word) { return word == "-DOCSTART-" || word == "-X-"; }

class Parser {
 public:
  Parser(std::string name, const IobOptions& options) : name_(std::move(name)), options_(options) {}

  IobFile run(std::string_view text) {
    if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());
    while (!text.empty()) {
      if (line_ == std::numeric_limits<int>::max()) throw Error(ErrorCode::invalid_file, "read_iob", name_, "too long");
      ++line_;
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      while (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      take(line);
    }
    end_sentence();
    return std::move(file_);
  }

 private:
  void take(std::string_view line) {
    if (auto fault = check_bytes(line)) return fail(*fault);
    const std::size_t first = line.find_first_not_of(kSeparators);
    if (first == std::string_view::npos) return end_sentence();
    if (is_comment(line)) return;
    const std::size_t word_end = std::min(line.find_first_of(kSeparators, first), line.size());
    const std::string_view word = line.substr(first, word_end - first);
    if (is_boundary(word)) return end_sentence();
    const std::size_t last = line.find_last_not_of(kSeparators) + 1;
    if (last == word_end) return fail({word_end, "expected a word and a tag, found one column"});
    const std::size_t tag_start = line.find_last_of(kSeparators, last - 1) + 1;
    const std::string_view tag = line.substr(tag_start, last - tag_start);
    if (auto detail = tag_fault(tag); !detail.empty()) return fail({tag_start, std::move(detail)});
    if (tag.back() == '\r') return fail({last - 1, std::string("a tag ") + kCarriageReturn});  // blanks follow it
    if (sentence_.tokens.empty()) sentence_.first_line = line_;
    sentence_.tokens.push_back({std::string(word), std::string(tag)});
  }

  void end_sentence() {
    if (!sentence_.tokens.empty() && !bad_) file_.sentences.push_back(std::move(sentence_));
    sentence_ = {};
    bad_ = false;
  }

  void fail(const Fault& fault) {
    const Error error(ErrorCode::invalid_file, "read_iob",
                      name_ + ":" + std::to_string(line_) + ":" + std::to_string(fault.offset + 1), fault.detail);
    if (file_.bad_lines >= options_.skip_bad) throw error;
    if (file_.bad_lines++ == 0) file_.first_bad = error.what();
    bad_ = true;  // a sentence with a hole would teach wrong neighbours
  }

  std::string name_;
  IobOptions options_;
  IobFile file_;
  Sentence sentence_;
  int line_ = 0;
  bool bad_ = false;
};

struct Span {
  std::size_t first, last;
  std::string_view type;
};

std::vector<Span> spans_of(std::span<const std::string> tags, TagScheme from) {
  std::vector<Span> spans;
  bool open = false;
  for (std::size_t i = 0; i < tags.size(); ++i) {
    const std::string_view tag = tags[i];
    if (auto detail = tag_fault(tag); !detail.empty()) {
      throw Error(ErrorCode::invalid_argument, "convert_tags", "tags[" + std::to_string(i) + "]", detail);
    }
    if (tag == "O") {
      open = false;
      continue;
    }
    const bool single = tag[0] == 'S' || tag[0] == 'U';
    const bool end = tag[0] == 'E' || tag[0] == 'L';
    if ((single || end) && from != TagScheme::iobes) {
      throw Error(ErrorCode::invalid_argument, "convert_tags", "tags[" + std::to_string(i) + "]",
                  "\"" + std::string(tag) + "\" does not belong to " + to_string(from) + "; convert from iobes");
    }
    const std::string_view type = tag.substr(2);
    if (open && tag[0] != 'B' && !single && spans.back().type == type) {
      spans.back().last = i;
    } else {
      spans.push_back({i, i, type});
    }
    open = !single && !end;
  }
  return spans;
}

char prefix(const Span& span, std::size_t i, TagScheme to, bool touches_same_type) {
  if (to == TagScheme::iob1) return i == span.first && touches_same_type ? 'B' : 'I';
  if (to == TagScheme::iob2) return i == span.first ? 'B' : 'I';
  if (span.first == span.last) return 'S';
  return i == span.first ? 'B' : i == span.last ? 'E' : 'I';
}

void check_token(const Token& token, const std::string& where) {
  const auto fail = [&](const std::string& argument, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, "write_iob", where + argument, detail);
  };
  if (token.word.empty()) fail("word", "must not be empty");
  for (const auto* text : {&token.word, &token.tag}) {
    const std::string argument = text == &token.word ? "word" : "tag";
    if (text->find_first_of(" \t\n") != std::string::npos) fail(argument, "must not hold white space");
    if (const auto fault = check_bytes(*text)) fail(argument, fault->detail);
  }
  if (is_boundary(token.word)) fail("word", "\"" + token.word + "\" would be read as the end of a sentence");
  if (auto detail = tag_fault(token.tag); !detail.empty()) fail("tag", detail);
  if (token.tag.back() == '\r') fail("tag", kCarriageReturn);
}

}  // namespace

const char* to_string(TagScheme scheme) {
  switch (scheme) {
    case TagScheme::iob1: return "iob1";
    case TagScheme::iob2: return "iob2";
    case TagScheme::iobes: return "iobes";
  }
  return "unknown";
}

IobFile parse_iob(std::string_view text, const std::string& name, const IobOptions& options) {
  return Parser(name, options).run(text);
}

std::vector<Sentence> parse_iob(std::string_view text, const std::string& name) {
  return parse_iob(text, name, IobOptions{}).sentences;
}

IobFile read_iob(const std::string& path, const IobOptions& options) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw Error(ErrorCode::io_failure, "read_iob", path, "cannot be opened");
  std::string text;
  char block[1 << 16];
  while (in.read(block, sizeof block) || in.gcount() > 0) text.append(block, static_cast<std::size_t>(in.gcount()));
  if (in.bad() || !in.eof()) throw Error(ErrorCode::io_failure, "read_iob", path, "cannot be read; is it a folder?");
  return parse_iob(text, path, options);
}

std::vector<Sentence> read_iob(const std::string& path) { return read_iob(path, IobOptions{}).sentences; }

std::string format_iob(std::span<const Sentence> sentences) {
  std::string text;
  for (std::size_t s = 0; s < sentences.size(); ++s) {
    const auto& tokens = sentences[s].tokens;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      check_token(tokens[i], "sentences[" + std::to_string(s) + "].tokens[" + std::to_string(i) + "].");
      text += tokens[i].word + '\t' + tokens[i].tag + '\n';
    }
    if (!tokens.empty()) text += '\n';
  }
  // A first word that begins with the mark would lose it to the reader, which drops one.
  if (text.starts_with(kByteOrderMark)) text.insert(0, kByteOrderMark);
  return text;
}

void write_iob(const std::string& path, std::span<const Sentence> sentences) {
  const std::string text = format_iob(sentences);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  if (!out) throw Error(ErrorCode::io_failure, "write_iob", path, "cannot be opened for writing");
  out.write(text.data(), static_cast<std::streamsize>(text.size()));
  out.close();
  if (!out) throw Error(ErrorCode::io_failure, "write_iob", path, "cannot be written; is the disk full?");
}

TagScheme detect_scheme(std::span<const Sentence> sentences) {
  bool opened_by_i = false;
  for (const Sentence& sentence : sentences) {
    std::string_view previous = "O";
    for (const Token& token : sentence.tokens) {
      const std::string_view tag = token.tag;
      if (tag.size() > 2 && tag[0] != 'B' && tag[0] != 'I') return TagScheme::iobes;
      if (tag.size() > 2 && tag[0] == 'I' && (previous.size() < 3 || previous.substr(2) != tag.substr(2))) {
        opened_by_i = true;
      }
      previous = tag;
    }
  }
  return opened_by_i ? TagScheme::iob1 : TagScheme::iob2;
}

std::vector<std::string> convert_tags(std::span<const std::string> tags, TagScheme from, TagScheme to) {
  std::vector<std::string> out(tags.size(), "O");
  const std::vector<Span> spans = spans_of(tags, from);
  for (std::size_t s = 0; s < spans.size(); ++s) {
    const Span& span = spans[s];
    const bool touches = s > 0 && spans[s - 1].last + 1 == span.first && spans[s - 1].type == span.type;
    for (std::size_t i = span.first; i <= span.last; ++i) {
      out[i] = std::string(1, prefix(span, i, to, touches)) + "-" + std::string(span.type);
    }
  }
  return out;
}

std::vector<Sentence> convert_scheme(std::span<const Sentence> sentences, TagScheme from, TagScheme to) {
  std::vector<Sentence> out(sentences.begin(), sentences.end());
  for (Sentence& sentence : out) {
    const auto tags = convert_tags(tags_of(sentence), from, to);
    for (std::size_t i = 0; i < tags.size(); ++i) sentence.tokens[i].tag = tags[i];
  }
  return out;
}

std::vector<std::string> words_of(const Sentence& sentence) {
  std::vector<std::string> words;
  words.reserve(sentence.tokens.size());
  for (const Token& token : sentence.tokens) words.push_back(token.word);
  return words;
}

std::vector<std::string> tags_of(const Sentence& sentence) {
  std::vector<std::string> tags;
  tags.reserve(sentence.tokens.size());
  for (const Token& token : sentence.tokens) tags.push_back(token.tag);
  return tags;
}

}  // namespace seqgpu::data
