#include "page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace seqgpu::tool {
namespace {

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
  constexpr double kLeft = 58, kTop = 30, kWidth = 360, kHeight = 180;
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

std::string training_html(const TrainingResult& training, const Measure& measure) {
  std::vector<double> loss, dev;
  for (const EpochRecord& record : training.history) {
    loss.push_back(record.loss);
    const auto score = record.dev.find(measure.key);
    if (score != record.dev.end()) dev.push_back(100 * score->second);
  }
  std::string html = "<h2>Training</h2>\n<div>" + curve_svg("loss on the training set", loss, -1);
  if (!dev.empty() || loss.empty()) {
    html += curve_svg(fmt::format("{} on the dev set, percent (dot: the epoch kept)", measure.title), dev,
                      static_cast<int>(training.best_epoch) - 1);
  }
  return html + "</div>\n";
}

std::string html_page(const std::string& title, const std::string& summary, const std::string& body,
                      const Config& config) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n<meta name=\"viewport\" "
      "content=\"width=device-width\" />\n<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n"
      "<p class=\"note\">{2}</p>\n{3}<h2>Configuration</h2>\n<pre>{4}</pre>\n</body>\n</html>\n",
      escape_html(title), kStyle, escape_html(summary), body, escape_html(to_toml(config)));
}

}  // namespace seqgpu::tool
