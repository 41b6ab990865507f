#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "tools/seqgpu/page.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kMostConfusions = 15;

double percent(double value) { return 100 * value; }

std::string marked(const data::Sentence& sentence, const std::vector<std::string>& tags,
                   const std::vector<data::Chunk>* gold) {
  std::string html;
  const std::vector<data::Chunk> chunks = data::chunks_of(tags);
  auto next = chunks.begin();
  for (int t = 0; t < static_cast<int>(sentence.tokens.size()); ++t) {
    if (t > 0) html += ' ';
    if (next != chunks.end() && next->first == t) {
      const bool right = gold == nullptr || std::find(gold->begin(), gold->end(), *next) != gold->end();
      html += right ? "<mark>" : "<mark class=\"wrong\">";
    }
    html += escape_html(sentence.tokens[static_cast<std::size_t>(t)].word);
    if (next != chunks.end() && next->last == t) {
      html += fmt::format(" <small>{}</small></mark>", escape_html(next->type));
      ++next;
    }
  }
  return html;
}

std::string score_row(const std::string& name, const data::TypeScore& score, const char* style) {
  return fmt::format(
      "<tr{}><td>{}</td><td>{:.2f}</td><td>{:.2f}</td><td>{:.2f}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n", style,
      escape_html(name), percent(score.precision), percent(score.recall), percent(score.f1), score.gold, score.found,
      score.correct);
}

std::string slots_html(const data::ChunkScores& scores) {
  std::string html =
      "<h2>Slots</h2>\n<table>\n<tr><th>slot</th><th>precision</th><th>recall</th><th>F1</th><th>in the data</th>"
      "<th>found</th><th>correct</th></tr>\n";
  for (const auto& [type, score] : scores.types) html += score_row(type, score, "");
  return html + score_row("all", scores.overall, " class=\"all\"") + "</table>\n";
}

std::string confusions_html(const TaggingReport& data) {
  const TagLists gold = tag_lists(data.test);
  std::string rows;
  std::size_t shown = 0;
  for (const data::ChunkConfusion& confusion : data::chunk_confusion(gold, data.predicted)) {
    if (confusion.same_span && confusion.gold == confusion.predicted) continue;
    if (++shown > kMostConfusions) break;
    const auto index = static_cast<std::size_t>(confusion.sentence);
    const std::vector<data::Chunk> right = data::chunks_of(gold[index]);
    const std::string was = confusion.gold.empty() ? "(nothing)" : confusion.gold;
    std::string became = confusion.predicted.empty() ? "(missed)" : confusion.predicted;
    if (!confusion.same_span && !confusion.gold.empty() && !confusion.predicted.empty()) became += ", other words";
    rows += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td><td class=\"text\">{}</td></tr>\n",
                        escape_html(was), escape_html(became), confusion.count,
                        marked(data.test[index], data.predicted[index], &right));
  }
  if (rows.empty()) return "<h2>Confusions</h2>\n<p>None: every slot of the test set was found.</p>\n";
  return "<h2>Confusions</h2>\n<p class=\"note\">The most frequent first, each with one test sentence as the model "
         "labelled it; wrong labels are red.</p>\n<table>\n<tr><th>slot</th><th class=\"text\">labelled "
         "as</th><th>times</th>"
         "<th class=\"text\">example</th></tr>\n" +
         rows + "</table>\n";
}

}  // namespace

std::string bracketed(const data::Sentence& sentence, const std::vector<std::string>& tags) {
  std::string text;
  const std::vector<data::Chunk> chunks = data::chunks_of(tags);
  auto next = chunks.begin();
  for (int t = 0; t < static_cast<int>(sentence.tokens.size()); ++t) {
    if (t > 0) text += ' ';
    if (next != chunks.end() && next->first == t) text += '[';
    text += sentence.tokens[static_cast<std::size_t>(t)].word;
    if (next != chunks.end() && next->last == t) text += fmt::format(": {}]", (next++)->type);
  }
  return text;
}

std::string slot_table(const data::ChunkScores& scores) {
  std::string text = fmt::format("  {:<18} {:>9} {:>8} {:>8} {:>7}\n", "slot", "precision", "recall", "F1", "count");
  const auto row = [&](const std::string& name, const data::TypeScore& s) {
    text += fmt::format("  {:<18} {:>9.2f} {:>8.2f} {:>8.2f} {:>7}\n", name, percent(s.precision), percent(s.recall),
                        percent(s.f1), s.gold);
  };
  for (const auto& [type, score] : scores.types) row(type, score);
  row("all", scores.overall);
  return text;
}

std::string tagging_report(const TaggingReport& data) {
  std::string body = training_html(data.training, kTaggingMeasure);
  if (!data.test.empty()) {
    body += slots_html(data::conlleval(tag_lists(data.test), data.predicted)) + confusions_html(data);
  }
  if (!data.examples.empty()) {
    body += "<h2>Labelled sentences</h2>\n";
    for (const LabelledSentence& example : data.examples) {
      body += fmt::format("<p>{}</p>\n", marked(example.sentence, example.predicted, nullptr));
    }
  }
  return html_page(data.title, data.summary, body, data.config);
}

}  // namespace seqgpu::tool
