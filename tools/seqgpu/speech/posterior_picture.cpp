#include "posterior_picture.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "seqgpu/data/audio_file.hpp"
#include "seqgpu/data/error_rate.hpp"
#include "seqgpu/decode/forced_align.hpp"
#include "tools/seqgpu/page.hpp"
#include "tools/seqgpu/png.hpp"

namespace seqgpu::tool {
namespace {

constexpr double kLeft = 64, kRight = 900;
constexpr double kSoundTop = 4, kSoundBottom = 54;
constexpr double kFeaturesTop = 62, kFeaturesBottom = 132;
constexpr double kProbabilityTop = 148, kProbabilityBottom = 278;
constexpr double kAxis = 294;
constexpr double kSaidTop = 304, kHeardTop = 332, kRowHeight = 24, kHeight = 362;
constexpr float kMostDeviations = 2.5f;  // of a feature from its mean, beyond which the heat map saturates
constexpr double kLeastShown = 0.02;     // symbols that never are as probable get no line
constexpr const char* kWrong = "#c0392b";

std::string colour_of(std::int32_t symbol) {
  return fmt::format("hsl({}, 62%, 42%)", static_cast<int>(symbol * 137.508) % 360);  // golden angle: neighbours differ
}

class Drawing {
 public:
  explicit Drawing(const PosteriorPicture& picture)
      : picture_(picture),
        log_probs_(picture.transcription.log_probs.view<float>()),
        frames_(picture.transcription.log_probs.shape[0]),
        symbols_(picture.transcription.log_probs.shape[1]),
        frame_ms_(picture.front_end.frame_ms()) {
    compare();
  }

  std::string svg() {
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"920\" height=\"{0}\" viewBox=\"0 0 920 {0}\" "
               "role=\"img\" font-size=\"12\" fill=\"#5d6875\">\n",
               kHeight) +
           sound() + features() + probabilities() + time_axis() + said() + heard() + "</svg>\n";
  }

 private:
  double x_of(double frame) const {
    return kLeft + (kRight - kLeft) * frame / static_cast<double>(std::max<std::int64_t>(frames_, 1));
  }
  double middle(std::int64_t frame) const { return x_of(static_cast<double>(frame) + 0.5); }
  double probability(std::int64_t frame, std::int32_t symbol) const {
    return std::exp(static_cast<double>(log_probs_[static_cast<std::size_t>(frame * symbols_ + symbol)]));
  }

  // Which symbols of the reference and of what was decoded are wrong.
  void compare() {
    const auto names = [&](const std::vector<std::int32_t>& labels) {
      std::vector<std::string> texts;
      for (const std::int32_t label : labels) texts.push_back(picture_.symbols.symbol(label));
      return texts;
    };
    std::vector<data::AlignedPair> columns;
    data::align_tokens(names(picture_.example.labels), names(picture_.transcription.hypothesis.labels), &columns);
    said_right_.assign(picture_.example.labels.size(), false);
    heard_right_.assign(picture_.transcription.hypothesis.labels.size(), false);
    for (const data::AlignedPair& column : columns) {
      if (column.kind != data::AlignedAs::correct) continue;
      said_right_[static_cast<std::size_t>(column.reference)] = true;
      heard_right_[static_cast<std::size_t>(column.hypothesis)] = true;
    }
  }

  static std::string row_name(const char* name, double y) {
    return fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n", kLeft - 8, y, name);
  }

  // Least and largest sample of each pixel. Nothing where the file is gone.
  std::string sound() const {
    std::optional<data::Waveform> wave;
    try {
      wave = data::read_audio(picture_.utterance.path);
    } catch (const Error&) {
      return "";
    }
    const auto& samples = wave->samples;
    // As long as the frames are: what the last one leaves over is not drawn.
    const double seconds = static_cast<double>(frames_) * frame_ms_ / 1000;
    const double per_pixel = seconds * wave->sample_rate / (kRight - kLeft);
    float loudest = 1e-6f;
    for (const float sample : samples) loudest = std::max(loudest, std::abs(sample));
    const double centre = (kSoundTop + kSoundBottom) / 2, reach = (kSoundBottom - kSoundTop) / 2 / double{loudest};
    std::string lines;
    for (int pixel = 0; pixel < static_cast<int>(kRight - kLeft); ++pixel) {
      const auto begin = static_cast<std::size_t>(pixel * per_pixel);
      const auto end = std::max(begin + 1, static_cast<std::size_t>((pixel + 1) * per_pixel));
      if (end > samples.size()) break;
      const auto [low, high] = std::minmax_element(samples.begin() + static_cast<std::ptrdiff_t>(begin),
                                                   samples.begin() + static_cast<std::ptrdiff_t>(end));
      lines += fmt::format("M{:.0f} {:.1f}V{:.1f}", kLeft + pixel, centre - reach * double{*high},
                           centre - reach * double{*low} + 0.5);
    }
    return row_name("sound", centre + 4) + fmt::format("<path d=\"{}\" stroke=\"#7d93ad\" fill=\"none\" />\n", lines);
  }

  // Normalised features as a heat map, low ones at the bottom; derivatives are left out.
  std::string features() const {
    const FrameLayout layout = picture_.front_end.layout();
    const HostTensor& features = picture_.example.features;
    if (frames_ == 0 || features.shape[0] != frames_) return "";
    const std::int64_t width = frames_ * layout.new_parts;
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(width * layout.bands));
    for (std::int64_t x = 0; x < width; ++x) {
      const std::int64_t part = x / layout.new_parts * layout.parts + x % layout.new_parts;
      for (std::int64_t band = 0; band < layout.bands; ++band) {
        const float value = features.view<float>()[static_cast<std::size_t>(part * layout.part_width + band)];
        const float shade = std::clamp(128 + 255 * value / (2 * kMostDeviations), 0.f, 255.f);
        pixels[static_cast<std::size_t>((layout.bands - 1 - band) * width + x)] = static_cast<std::uint8_t>(shade);
      }
    }
    return row_name("features", (kFeaturesTop + kFeaturesBottom) / 2 + 4) +
           fmt::format(
               "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" href=\"{}\" />\n",
               kLeft, kFeaturesTop, kRight - kLeft, kFeaturesBottom - kFeaturesTop,
               heat_map_uri(pixels, static_cast<int>(width), static_cast<int>(layout.bands)));
  }

  std::string area(std::int32_t symbol, const std::string& colour, double opacity) const {
    constexpr double kSpan = kProbabilityBottom - kProbabilityTop;
    std::string points;
    for (std::int64_t t = 0; t < frames_; ++t) {
      points += fmt::format("{:.1f},{:.1f} ", middle(t), kProbabilityBottom - kSpan * probability(t, symbol));
    }
    return fmt::format(
        "<polygon points=\"{0:.1f},{1} {2}{3:.1f},{1}\" fill=\"{4}\" fill-opacity=\"{5}\" stroke=\"{4}\" "
        "stroke-width=\"1.3\"><title>{6}</title></polygon>\n",
        middle(0), kProbabilityBottom, points, middle(frames_ - 1), colour, opacity,
        escape_html(picture_.symbols.symbol(symbol)));
  }

  std::string probabilities() const {
    std::string svg;
    for (const double value : {0.0, 0.5, 1.0}) {
      const double y = kProbabilityBottom - (kProbabilityBottom - kProbabilityTop) * value;
      svg += fmt::format("<line x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\" stroke=\"#dde2e8\" />\n", kLeft, kRight,
                         y, y) +
             row_name(value == 0   ? "0"
                      : value == 1 ? "p = 1"
                                   : "0.5",
                      y + 4);
    }
    if (frames_ == 0) return svg;
    svg += area(data::SymbolTable::kBlank, "#b3bdc9", 0.25);
    for (std::int32_t symbol = 1; symbol < symbols_; ++symbol) {
      double most = 0;
      for (std::int64_t t = 0; t < frames_; ++t) most = std::max(most, probability(t, symbol));
      if (most >= kLeastShown) svg += area(symbol, colour_of(symbol), 0.3);
    }
    return svg;
  }

  std::string time_axis() const {
    const double seconds = static_cast<double>(frames_) * frame_ms_ / 1000;
    double step = 0.1;  // then 0.2, 0.5, 1, 2, 5, ...
    for (int i = 0; seconds / step > 12; ++i) step *= i % 3 == 1 ? 2.5 : 2;
    std::string svg;
    for (int i = 0; i * step <= seconds; ++i) {
      svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\" font-size=\"11\">{:.3g} s</text>\n",
                         x_of(i * step * 1000 / frame_ms_), kAxis, i * step);
    }
    return svg;
  }

  std::string token(double x, double top, std::int32_t label, bool right) const {
    const std::string& text = picture_.symbols.symbol(label);
    return fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\" font-size=\"{}\" {}fill=\"{}\">{}</text>\n", x,
        top + 17, text.size() > 4 ? 11 : 14, right ? "" : "font-weight=\"700\" ", right ? colour_of(label) : kWrong,
        text == " " ? "&#9251;" : escape_html(text));
  }

  std::string said() const {
    const decode::FramesView frames{log_probs_, frames_, 1, symbols_, {}};
    const decode::Alignment best = decode::forced_align(frames, {{picture_.example.labels}}).front();
    std::string svg = row_name("said", kSaidTop + 17);
    for (std::size_t i = 0; i < best.labels.size(); ++i) {
      const decode::AlignedLabel& label = best.labels[i];
      svg += fmt::format(
                 "<rect x=\"{:.1f}\" y=\"{}\" width=\"{:.1f}\" height=\"{}\" rx=\"4\" fill=\"{}\" "
                 "fill-opacity=\"0.15\"><title>{:.3f} s, confidence {:.3f}</title></rect>\n",
                 x_of(label.begin), kSaidTop, std::max(2.0, x_of(label.end) - x_of(label.begin)), kRowHeight,
                 colour_of(label.label), label.begin * frame_ms_ / 1000, label.confidence) +
             token((x_of(label.begin) + x_of(label.end)) / 2, kSaidTop, label.label, said_right_[i]);
    }
    return svg;
  }

  std::string heard() const {
    const decode::Hypothesis& heard = picture_.transcription.hypothesis;
    std::string svg = row_name("heard", kHeardTop + 17);
    for (std::size_t i = 0; i < heard.labels.size(); ++i) {
      svg += token(middle(heard.frames[i]), kHeardTop, heard.labels[i], heard_right_[i]);
    }
    return svg;
  }

  const PosteriorPicture& picture_;
  std::span<const float> log_probs_;
  std::int64_t frames_, symbols_;
  double frame_ms_;
  std::vector<bool> said_right_, heard_right_;
};

}  // namespace

std::string posterior_picture(const PosteriorPicture& picture) { return Drawing(picture).svg(); }

}  // namespace seqgpu::tool
