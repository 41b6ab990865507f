#include <algorithm>
#include <set>

#include "data/utf8.hpp"
#include "seqgpu/data/manifest.hpp"

namespace seqgpu::data {

namespace {

constexpr std::string_view kHeader = "seqgpu symbols 1 ";
constexpr std::string_view kWhiteSpace = " \t\n\v\f\r";

bool is_space(char c) { return kWhiteSpace.find(c) != std::string_view::npos; }

// Whether split_transcript() could have given it.
bool is_unit(std::string_view symbol, TranscriptUnit unit) {
  if (symbol == " ") return unit == TranscriptUnit::characters;
  if (symbol.empty() || std::any_of(symbol.begin(), symbol.end(), is_space)) return false;
  return unit == TranscriptUnit::words || split_transcript(symbol, unit).size() == 1;
}

[[noreturn]] void fail_line(std::size_t line, const std::string& detail) {
  throw Error(ErrorCode::invalid_file, "SymbolTable::from_string", "line " + std::to_string(line), detail);
}

}  // namespace

const char* to_string(TranscriptUnit unit) {
  switch (unit) {
    case TranscriptUnit::characters: return "characters";
    case TranscriptUnit::words: return "words";
  }
  return "unknown";
}

std::vector<std::string> split_transcript(std::string_view transcript, TranscriptUnit unit) {
  std::vector<std::string> units;
  for (std::size_t pos = transcript.find_first_not_of(kWhiteSpace); pos < transcript.size();
       pos = transcript.find_first_not_of(kWhiteSpace, pos)) {
    const std::size_t end = std::min(transcript.find_first_of(kWhiteSpace, pos), transcript.size());
    if (unit == TranscriptUnit::words) {
      units.emplace_back(transcript.substr(pos, end - pos));
      pos = end;
      continue;
    }
    if (!units.empty()) units.emplace_back(" ");
    while (pos < end) {
      const std::size_t length =
          std::max<std::size_t>(1, utf8_length(transcript, pos));  // a stray byte stands for itself
      units.emplace_back(transcript.substr(pos, length));
      pos += length;
    }
  }
  return units;
}

SymbolTable::SymbolTable(TranscriptUnit unit) : unit_(unit), symbols_{"<blank>"} {}

void SymbolTable::add(std::string symbol) {
  ids_.emplace(symbol, size());  // the blank is not in here: a word may be spelt like it
  symbols_.push_back(std::move(symbol));
}

SymbolTable SymbolTable::build(std::span<const Utterance> utterances, TranscriptUnit unit) {
  std::set<std::string> units;
  for (const Utterance& utterance : utterances) {
    for (std::string& symbol : split_transcript(utterance.transcript, unit)) units.insert(std::move(symbol));
  }
  SymbolTable table(unit);
  for (const std::string& symbol : units) table.add(symbol);
  return table;
}

const std::string& SymbolTable::symbol(std::int32_t id) const {
  if (id < 0 || id >= size()) {
    throw Error(ErrorCode::invalid_argument, "SymbolTable::symbol", "id",
                "must be from 0 to " + std::to_string(size() - 1) + ", got " + std::to_string(id));
  }
  return symbols_[static_cast<std::size_t>(id)];
}

std::vector<std::int32_t> SymbolTable::encode(std::string_view transcript) const {
  std::vector<std::int32_t> labels;
  for (const std::string& unit : split_transcript(transcript, unit_)) {
    const auto found = ids_.find(unit);
    if (found == ids_.end()) {
      throw Error(ErrorCode::invalid_argument, "SymbolTable::encode", "transcript",
                  "holds \"" + unit.substr(0, 64) + "\", unit " + std::to_string(labels.size() + 1) +
                      ", which is not among the " + std::to_string(size() - 1) +
                      " symbols of the table; build the table of these transcripts too, or correct it");
    }
    labels.push_back(found->second);
  }
  return labels;
}

std::vector<std::int32_t> SymbolTable::encode(std::string_view transcript, std::vector<std::string>& unknown) const {
  std::vector<std::int32_t> labels;
  for (std::string& unit : split_transcript(transcript, unit_)) {
    const auto found = ids_.find(unit);
    if (found != ids_.end()) {
      labels.push_back(found->second);
    } else {
      unknown.push_back(std::move(unit));
    }
  }
  return labels;
}

std::string SymbolTable::decode(std::span<const std::int32_t> labels) const {
  std::string text;
  for (const std::int32_t label : labels) {
    const std::string& unit = symbol(label);
    if (label == kBlank) continue;
    if (unit_ == TranscriptUnit::words && !text.empty()) text += ' ';
    text += unit;
  }
  return text;
}

std::string SymbolTable::to_string() const {
  std::string text = std::string(kHeader) + data::to_string(unit_) + '\n';
  for (std::size_t i = 1; i < symbols_.size(); ++i) text += symbols_[i] + '\n';
  return text;
}

SymbolTable SymbolTable::from_string(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) fail_line(lines.size() + 1, "has no line end; is the text cut short?");
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end + 1);
  }
  const std::string_view header = lines.empty() ? std::string_view() : lines[0];
  const bool characters = header == std::string(kHeader) + "characters";
  if (!characters && header != std::string(kHeader) + "words") {
    fail_line(1, "must be \"" + std::string(kHeader) + "characters\" or \"... words\"");
  }
  SymbolTable table(characters ? TranscriptUnit::characters : TranscriptUnit::words);
  for (std::size_t i = 1; i < lines.size(); ++i) {
    const std::string symbol(lines[i]);
    if (!is_unit(symbol, table.unit_)) fail_line(i + 1, "is no symbol of " + std::string(data::to_string(table.unit_)));
    if (table.ids_.contains(symbol)) fail_line(i + 1, "repeats the symbol \"" + symbol.substr(0, 64) + "\"");
    table.add(symbol);
  }
  return table;
}

}  // namespace seqgpu::data
