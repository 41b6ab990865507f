#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace seqgpu::tool {
namespace {

constexpr std::size_t kMostConfusions = 15;

constexpr const char* kStyle = R"(
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2530; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; } th, td { padding: .2rem .8rem; border-bottom: 1px solid #dde2e8; text-align: right; }
th:first-child, td:first-child, .text { text-align: left; } tr.all td { font-weight: 600; border-bottom: none; }
mark { border-radius: .3rem; padding: .05rem .3rem; background: #dcebff; } mark.wrong { background: #ffdcd8; }
mark small { color: #4d6a90; } mark.wrong small { color: #a04038; }
svg { max-width: 100%; height: auto; } pre { background: #f4f6f8; padding: .8rem; overflow-x: auto; font-size: 13px; }
p.note { color: #5d6875; }
)";

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

std::string confusions_html(const ReportData& data) {
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

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') {
          out += "\xef\xbf\xbd";
        } else {
          out += c;
        }
    }
  }
  return out;
}

std::string curve_svg(const std::string& title, const std::vector<double>& values, int best) {
  constexpr double kLeft = 50, kTop = 30, kWidth = 360, kHeight = 180;
  std::vector<double> finite;
  std::copy_if(values.begin(), values.end(), std::back_inserter(finite), [](double v) { return std::isfinite(v); });
  double low = 0, high = 1;
  if (!finite.empty()) {
    low = *std::min_element(finite.begin(), finite.end());
    high = *std::max_element(finite.begin(), finite.end());
  }
  if (high - low < 1e-9) high = low + 1;
  const auto x_of = [&](std::size_t i) {
    return values.size() < 2 ? kLeft : kLeft + kWidth * static_cast<double>(i) / static_cast<double>(values.size() - 1);
  };
  const auto y_of = [&](double value) { return kTop + kHeight * (1 - (value - low) / (high - low)); };

  std::string svg = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"440\" height=\"250\" viewBox=\"0 0 440 250\" role=\"img\" "
      "font-size=\"12\" fill=\"#5d6875\">\n<text x=\"{}\" y=\"18\" font-size=\"14\" fill=\"#1d2530\">{}</text>\n",
      kLeft, escape_html(title));
  for (int i = 0; i <= 4; ++i) {
    const double value = low + (high - low) * i / 4;
    svg += fmt::format(
        "<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#dde2e8\" /><text x=\"{}\" y=\"{:.1f}\" "
        "text-anchor=\"end\">{:.3g}</text>\n",
        kLeft, kLeft + kWidth, y_of(value), y_of(value), kLeft - 6, y_of(value) + 4, value);
  }
  const std::size_t stride = std::max<std::size_t>(1, (values.size() + 9) / 10);
  for (std::size_t i = 0; i < values.size(); i += stride) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>\n", x_of(i), kTop + kHeight + 18,
                       i + 1);
  }
  svg += "<polyline fill=\"none\" stroke=\"#2f6fd0\" stroke-width=\"2\" points=\"";
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (std::isfinite(values[i])) svg += fmt::format("{:.1f},{:.1f} ", x_of(i), y_of(values[i]));
  }
  svg += "\" />\n";
  if (best >= 0 && static_cast<std::size_t>(best) < values.size()) {
    const auto i = static_cast<std::size_t>(best);
    svg += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"#2f6fd0\" />\n", x_of(i), y_of(values[i]));
  }
  return svg + fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">epoch</text>\n</svg>\n", kLeft + kWidth, 248);
}

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

std::string report_html(const ReportData& data) {
  std::vector<double> loss, f1;
  for (const EpochRecord& record : data.training.history) {
    loss.push_back(record.loss);
    f1.push_back(percent(record.dev_f1));
  }
  const int best = static_cast<int>(data.training.best_epoch) - 1;
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n<meta name=\"viewport\" "
      "content=\"width=device-width\" />\n<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n"
      "<p class=\"note\">{2}</p>\n<h2>Training</h2>\n<div>{3}{4}</div>\n",
      escape_html(data.title), kStyle, escape_html(data.summary), curve_svg("loss on the training set", loss, -1),
      curve_svg("F1 on the dev set (dot: the epoch kept)", f1, best));
  if (!data.test.empty()) {
    html += slots_html(data::conlleval(tag_lists(data.test), data.predicted)) + confusions_html(data);
  }
  if (!data.examples.empty()) {
    html += "<h2>Labelled sentences</h2>\n";
    for (const LabelledSentence& example : data.examples) {
      html += fmt::format("<p>{}</p>\n", marked(example.sentence, example.predicted, nullptr));
    }
  }
  return html +
         fmt::format("<h2>Configuration</h2>\n<pre>{}</pre>\n</body>\n</html>\n", escape_html(to_toml(data.config)));
}

}  // namespace seqgpu::tool
