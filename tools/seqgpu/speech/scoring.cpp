#include "scoring.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace seqgpu::tool {
namespace {

using Pairs = std::map<std::pair<std::string, std::string>, std::int64_t>;

void add_confusions(Pairs& pairs, const std::string& said, const std::string& heard, data::TranscriptUnit unit) {
  const std::vector<std::string> reference = data::split_transcript(said, unit);
  const std::vector<std::string> hypothesis = data::split_transcript(heard, unit);
  std::vector<data::AlignedPair> alignment;
  data::align_tokens(reference, hypothesis, &alignment);
  for (const data::AlignedPair& column : alignment) {
    if (column.kind == data::AlignedAs::correct) continue;
    ++pairs[{column.reference < 0 ? "" : reference[static_cast<std::size_t>(column.reference)],
             column.hypothesis < 0 ? "" : hypothesis[static_cast<std::size_t>(column.hypothesis)]}];
  }
}

// "a" 3 times, "b" and 2 more: the most frequent by name.
std::string unknown_text(const std::vector<UnknownSymbol>& unknown) {
  constexpr std::size_t kNamed = 5;
  std::string text;
  for (std::size_t i = 0; i < std::min(kNamed, unknown.size()); ++i) {
    text += fmt::format("{}\"{}\"", i > 0 ? ", " : "", unknown[i].text);
    if (unknown[i].count > 1) text += fmt::format(" {} times", unknown[i].count);
  }
  if (unknown.size() > kNamed) text += fmt::format(" and {} more", unknown.size() - kNamed);
  return text;
}

}  // namespace

std::int64_t SpeechScores::unknown_count() const {
  std::int64_t sum = 0;
  for (const UnknownSymbol& symbol : unknown) sum += symbol.count;
  return sum;
}

SpeechScores score(const Recordings& recordings, const std::vector<Transcription>& transcriptions,
                   data::TranscriptUnit unit) {
  SpeechScores scores;
  Pairs pairs;
  std::map<std::string, std::int64_t> unknown;
  std::int64_t symbols = 0, known_recordings = 0;
  for (std::size_t i = 0; i < recordings.size(); ++i) {
    const std::string& said = recordings.utterances[i].transcript;
    const std::string& heard = transcriptions[i].text;
    const data::ErrorCounts words = data::transcript_errors(said, heard, data::TranscriptUnit::words);
    scores.words += words;
    scores.characters += data::transcript_errors(said, heard, data::TranscriptUnit::characters);
    add_confusions(pairs, said, heard, unit);
    const data::SpeechExample& example = recordings.examples[i];
    for (const std::string& symbol : example.unknown) ++unknown[symbol];
    if (example.unknown.empty()) {  // the model gives no probability to a transcript with another symbol
      scores.loss += transcriptions[i].loss;
      symbols += static_cast<std::int64_t>(example.labels.size());
      ++known_recordings;
    }
    scores.wrong_recordings += words.errors() > 0 ? 1 : 0;
    ++scores.recordings;
  }
  scores.loss /= static_cast<double>(std::max<std::int64_t>(symbols, 1));
  if (known_recordings == 0 && scores.recordings > 0) scores.loss = std::numeric_limits<double>::quiet_NaN();
  for (const auto& [symbol, count] : unknown) scores.unknown.push_back({symbol, count});
  std::stable_sort(scores.unknown.begin(), scores.unknown.end(),
                   [](const UnknownSymbol& a, const UnknownSymbol& b) { return a.count > b.count; });
  for (const auto& [pair, count] : pairs) scores.confusions.push_back({pair.first, pair.second, count});
  std::stable_sort(scores.confusions.begin(), scores.confusions.end(),
                   [](const Confusion& a, const Confusion& b) { return a.count > b.count; });
  return scores;
}

std::string score_table(const SpeechScores& scores) {
  std::string text = fmt::format("  {:<12} {:>8} {:>14} {:>10} {:>11} {:>11}\n", "", "error %", "substitutions",
                                 "deletions", "insertions", "in the data");
  const auto row = [&](const char* name, const data::ErrorCounts& counts) {
    text += fmt::format("  {:<12} {:>8.2f} {:>14} {:>10} {:>11} {:>11}\n", name, 100 * counts.rate(),
                        counts.substitutions, counts.deletions, counts.insertions, counts.reference);
  };
  row("words", scores.words);
  row("characters", scores.characters);
  text += fmt::format("  {} of {} recordings have an error\n", scores.wrong_recordings, scores.recordings);
  if (!scores.unknown.empty()) {
    text += fmt::format("  unknown symbols in the data, counted as errors: {} ({})\n", scores.unknown_count(),
                        unknown_text(scores.unknown));
  }
  return text;
}

}  // namespace seqgpu::tool
