#include "report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "posterior_picture.hpp"
#include "tools/seqgpu/page.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::size_t kMostConfusions = 20;
constexpr std::size_t kPictures = 6;

std::string error_row(const char* name, const data::ErrorCounts& counts) {
  return fmt::format("<tr><td>{}</td><td>{:.2f}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                     name, 100 * counts.rate(), counts.substitutions, counts.deletions, counts.insertions,
                     counts.correct(), counts.reference);
}

std::string errors_html(const SpeechReport& report) {
  const SpeechScores& scores = report.scores;
  return fmt::format(
      "<h2>Errors on the {} set</h2>\n<p class=\"note\">As sclite counts them. {} of {} recordings have an error; "
      "decoder: {}; CTC loss {:.4f} a symbol.</p>\n<table>\n<tr><th></th><th>error %</th><th>substitutions</th>"
      "<th>deletions</th><th>insertions</th><th>correct</th><th>in the data</th></tr>\n{}{}</table>\n",
      report.set, scores.wrong_recordings, scores.recordings, report.config.decoder, scores.loss,
      error_row("words", scores.words), error_row("characters", scores.characters));
}

// A space would be seen as nothing.
std::string token_html(const std::string& token, const char* if_empty) {
  if (token.empty()) return fmt::format("<i>{}</i>", if_empty);
  return token == " " ? "<i>space</i>" : escape_html(token);
}

std::string confusions_html(const std::vector<Confusion>& confusions) {
  if (confusions.empty()) return "<h2>Confusions</h2>\n<p>None: all was heard as it was said.</p>\n";
  std::string html =
      "<h2>Confusions</h2>\n<table>\n<tr><th>said</th><th class=\"text\">heard</th><th>times</th></tr>\n";
  for (std::size_t i = 0; i < std::min(kMostConfusions, confusions.size()); ++i) {
    html += fmt::format("<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td></tr>\n",
                        token_html(confusions[i].reference, "nothing"), token_html(confusions[i].hypothesis, "missed"),
                        confusions[i].count);
  }
  return html + "</table>\n";
}

// Wrong recordings first, then right ones, each kind in the order of the data; wrong ones fill half at most where there
// are right ones to show.
std::vector<std::size_t> to_show(const SpeechReport& report, const Recordings& recordings) {
  std::vector<std::size_t> wrong, right;
  for (std::size_t i = 0; i < recordings.size(); ++i) {
    const bool same = report.transcriptions[i].text == recordings.utterances[i].transcript;
    (same ? right : wrong).push_back(i);
  }
  const std::size_t wrong_shown =
      std::min(wrong.size(), std::max(kPictures / 2, kPictures - std::min(kPictures, right.size())));
  wrong.resize(wrong_shown);
  right.resize(std::min(right.size(), kPictures - wrong_shown));
  wrong.insert(wrong.end(), right.begin(), right.end());
  return wrong;
}

}  // namespace

std::string speech_report(const SpeechReport& report, const Recordings& recordings, const data::SymbolTable& symbols,
                          const FrontEnd& front_end) {
  std::string body = training_html(report.training, report.measure);
  if (!report.transcriptions.empty()) {
    body += errors_html(report) + confusions_html(report.scores.confusions);
    body +=
        "<h2>What the network hears</h2>\n<p class=\"note\">The sound and its features; the probability of each symbol "
        "over time, the blank in grey; where the transcript aligns to that (Viterbi); what was decoded. Wrong symbols "
        "are "
        "red. Point at a colour for its name.</p>\n";
    for (const std::size_t i : to_show(report, recordings)) {
      const std::string& path = recordings.utterances[i].path;
      body += fmt::format("<p class=\"note\">{}</p>\n<div>{}</div>\n", escape_html(path),
                          posterior_picture({symbols, recordings.utterances[i], recordings.examples[i],
                                             report.transcriptions[i], front_end}));
    }
  }
  return html_page(report.title, report.summary, body, report.config);
}

}  // namespace seqgpu::tool
