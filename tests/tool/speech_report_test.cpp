// The recogniser's report is well-formed XML whatever was said, and needs no other file.
#include <gmock/gmock.h>

#include <cmath>

#include "nesting.hpp"
#include "tools/seqgpu/png.hpp"
#include "tools/seqgpu/speech/posterior_picture.hpp"
#include "tools/seqgpu/speech/report.hpp"

namespace seqgpu::tool {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// Two recordings of the words "<b>" and "a&b"; the second one is heard wrong. Their sound files do not exist.
struct Heard {
  Heard() {
    config.task = "transcribe";
    config.unit = "words";
    config.sample_rate = 8000;
    config.mel_bins = 5;
    config.stack = 3;
    config.stride = 2;
    recordings.utterances = {{"no/<such>.wav", "<b> a&b", 1}, {"none.wav", "<b>", 2}};
    symbols = data::SymbolTable::build(recordings.utterances, data::TranscriptUnit::words);
    front_end.emplace(config, data::FeatureStatistics{});
    add({1, 2}, {{0.1f, 0.8f, 0.1f}, {0.8f, 0.1f, 0.1f}, {0.1f, 0.1f, 0.8f}}, {1, 2}, {0, 2});
    add({1}, {{0.1f, 0.1f, 0.8f}}, {2}, {0});
    report.title = "<title>";
    report.summary = "a & b";
    report.config = config;
    report.training.history = {{1, 10, 2.5, {{"dev_wer", 0.3}}, 0.002, 0, 1.0},
                               {2, 20, 1.5, {{"dev_wer", NAN}}, 0.002, 0, 1.0}};
    report.training.best_epoch = 1;
    report.measure = {"dev_wer", "WER", false};
    report.set = "test";
    report.scores = score(recordings, report.transcriptions, data::TranscriptUnit::words);
  }

  void add(std::vector<std::int32_t> said, const std::vector<std::vector<float>>& frames,
           std::vector<std::int32_t> heard, std::vector<std::int32_t> at) {
    const auto T = static_cast<std::int64_t>(frames.size());
    data::SpeechExample example;
    example.features = HostTensor(DType::f32, {T, 15});
    example.labels = std::move(said);
    recordings.examples.push_back(std::move(example));
    Transcription out;
    out.text = symbols.decode(heard);
    out.hypothesis.labels = std::move(heard);
    out.hypothesis.frames = std::move(at);
    out.log_probs = HostTensor(DType::f32, {T, 3});
    for (std::size_t i = 0; i < out.log_probs.view<float>().size(); ++i) {
      out.log_probs.view<float>()[i] = std::log(frames[i / 3][i % 3]);
    }
    report.transcriptions.push_back(std::move(out));
  }

  std::string html() const { return speech_report(report, recordings, symbols, *front_end); }

  Config config;
  data::SymbolTable symbols;
  std::optional<FrontEnd> front_end;
  Recordings recordings;
  SpeechReport report;
};

TEST(SpeechReport, IsWellFormedAndOpensNoOtherFile) {
  const std::string html = Heard().html();
  EXPECT_EQ(nesting_error(html), "");
  EXPECT_THAT(html, HasSubstr("no/&lt;such&gt;.wav"));
  EXPECT_THAT(html, HasSubstr("href=\"data:image/png;base64,"));
  EXPECT_THAT(html, Not(HasSubstr("href=\"no")));
  for (const char* reference : {"src=", "url(", "@import", "<script", "nan"})
    EXPECT_THAT(html, Not(HasSubstr(reference)));
}

TEST(SpeechReport, CountsErrorsAndConfusions) {
  const std::string html = Heard().html();
  EXPECT_THAT(html, HasSubstr("<td>words</td><td>33.33</td><td>1</td><td>0</td><td>0</td><td>2</td><td>3</td>"));
  EXPECT_THAT(html, HasSubstr("<td>&lt;b&gt;</td><td class=\"text\">a&amp;b</td><td>1</td>"));
  EXPECT_THAT(html, HasSubstr("1 of 2 recordings have an error"));
}

TEST(SpeechReport, PictureHasACurveForEachSymbolAndMarksWhatIsWrong) {
  Heard heard;
  const auto picture = [&](std::size_t i) {
    return posterior_picture({heard.symbols, heard.recordings.utterances[i], heard.recordings.examples[i],
                              heard.report.transcriptions[i], *heard.front_end});
  };
  const auto count = [](const std::string& text, const std::string& part) {
    int found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(nesting_error(picture(0)), "");
  EXPECT_EQ(count(picture(0), "<polygon"), 3);       // the blank and two words
  EXPECT_EQ(count(picture(0), "rx=\"4\""), 2);       // where the two words align
  EXPECT_EQ(count(picture(0), "font-weight"), 0);    // both right
  EXPECT_EQ(count(picture(1), "font-weight"), 2);    // said one, heard another
  EXPECT_THAT(picture(1), Not(HasSubstr("<path")));  // no sound to draw
}

TEST(SpeechReport, SurvivesNothing) {
  Heard heard;
  EXPECT_EQ(nesting_error(speech_report({}, {}, heard.symbols, *heard.front_end)), "");
  Heard silent;
  silent.report.transcriptions[0].log_probs = HostTensor(DType::f32, {0, 3});
  silent.report.transcriptions[0].hypothesis = {};
  silent.recordings.examples[0].features = HostTensor(DType::f32, {0, 15});
  const std::string html = silent.html();
  EXPECT_EQ(nesting_error(html), "");
  EXPECT_THAT(html, Not(HasSubstr("nan")));
}

TEST(HeatMap, IsAPngOfItsPixels) {
  // Head and tail as Python's zlib and struct make them, by the PNG specification: one row of two pixels.
  const std::vector<std::uint8_t> pixels{0, 255};
  const std::string uri = heat_map_uri(pixels, 2, 1);
  EXPECT_THAT(uri, StartsWith("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAMAAADD/I+4AAADAFBMVEU"));
  EXPECT_THAT(uri, testing::EndsWith("AAAADklEQVR4AQEDAPz/AAD/AQIBALcBLvcAAAAASUVORK5CYII="));
}

}  // namespace
}  // namespace seqgpu::tool
