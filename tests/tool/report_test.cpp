// The report is well-formed XML whatever the words are, and needs no other file.
#include "tools/seqgpu/tagging/report.hpp"

#include <gmock/gmock.h>

#include <cmath>
#include <vector>

#include "nesting.hpp"
#include "tools/seqgpu/page.hpp"

namespace seqgpu::tool {
namespace {

using testing::HasSubstr;
using testing::Not;

TaggingReport hostile_report() {
  TaggingReport data;
  data.title = "</title><script>alert(1)</script>";
  data.summary = "a & b";
  data.training.history = {{1, 10, 2.5, {{"dev_f1", 0.3}}, 0.002, 0, 1.0},
                           {2, 20, std::nan(""), {{"dev_f1", 0.6}}, 0.002, 1, 1.0}};
  data.training.best_epoch = 2;
  data.test = {{{{"<b>", "B-x<y"}, {"a\"'&\x01", "I-x<y"}, {"c", "O"}}, 1}, {{{"d", "B-z"}}, 2}};
  data.predicted = {{"B-z", "O", "B-z"}, {"O"}};
  data.examples = {{data.test[0], data.predicted[0]}};
  return data;
}

TEST(Report, IsWellFormed) {
  const std::string html = tagging_report(hostile_report());
  EXPECT_EQ(nesting_error(html), "");
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("\x01")));
  EXPECT_THAT(html, HasSubstr("&lt;b&gt;"));
}

TEST(Report, OpensNoOtherFile) {
  const std::string html = tagging_report(hostile_report());
  for (const char* reference : {"src=", "href=", "url(", "@import"}) EXPECT_THAT(html, Not(HasSubstr(reference)));
}

TEST(Report, ListsWhatWentWrong) {
  const std::string html = tagging_report(hostile_report());
  EXPECT_THAT(html, HasSubstr("(missed)"));
  EXPECT_THAT(html, HasSubstr("(nothing)"));
  EXPECT_THAT(html, HasSubstr("<mark class=\"wrong\">"));
}

TEST(Report, EmptyRunHasAPageToo) { EXPECT_EQ(nesting_error(tagging_report({})), ""); }

TEST(Report, CurveSurvivesNothingOnePointAndNoNumber) {
  for (const std::vector<double>& values :
       {std::vector<double>{}, {1.0}, {2.0, 2.0}, {std::nan("")}, {1.0, INFINITY, 0.0}}) {
    const std::string svg = curve_svg("t", values, 0);
    EXPECT_EQ(nesting_error(svg), "");
    EXPECT_THAT(svg, Not(HasSubstr("points=\"nan")));
  }
}

TEST(Report, BracketsChunks) {
  const data::Sentence sentence{{{"to", "O"}, {"new", "O"}, {"york", "O"}}, 1};
  EXPECT_EQ(bracketed(sentence, {"O", "B-city", "I-city"}), "to [new york: city]");
}

}  // namespace
}  // namespace seqgpu::tool
