// The counts that the folders of public recordings state for themselves; skipped where the folders are not there.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "seqgpu/data/wav.hpp"

namespace seqgpu::data {
namespace {

struct Heard {
  int files = 0;
  double seconds = 0;
};

// Over all sound files of a folder whose name without the ending passes.
template <class Passes>
Heard listen(const std::filesystem::path& folder, Passes passes) {
  Heard heard;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".wav" || !passes(entry.path().stem().string())) continue;
    const Waveform wave = read_wav(entry.path().string(), {.sample_rate = 8000});
    heard.files += 1;
    heard.seconds += static_cast<double>(wave.samples.size()) / wave.sample_rate;
  }
  return heard;
}

std::filesystem::path data(const char* set) {
  const char* folder = std::getenv("SEQGPU_DATA");
  return std::filesystem::path(folder ? folder : "../shared/data") / set;
}

TEST(PublicSpeech, SpokenDigitsAreAsStated) {
  const auto path = data("fsdd/recordings");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: no data at " << path;
  const auto is_test = [](const std::string& name) { return std::stoi(name.substr(name.rfind('_') + 1)) < 5; };
  const Heard test = listen(path, is_test), train = listen(path, [&](const auto&name) { return !is_test(name); });
  EXPECT_EQ(test.files, 250);
  EXPECT_EQ(std::lround(test.seconds), 112);
  EXPECT_EQ(train.files, 2250);
  EXPECT_EQ(std::lround(train.seconds), 1023);
}

TEST(PublicSpeech, YesNoIsAsStated) {
  const auto path = data("yesno");
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: no data at " << path;
  const auto eight_words = [](const std::string& name) { return name.size() == 15; };
  EXPECT_EQ(listen(path / "train", eight_words).files, 26);
  EXPECT_EQ(listen(path / "test", eight_words).files, 12);
}

}  // namespace
}  // namespace seqgpu::data
