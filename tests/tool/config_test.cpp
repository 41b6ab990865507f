// The tool's configuration: file, defaults, checks, and what may change between two starts of a run.
#include "tools/seqgpu/config.hpp"

#include <gmock/gmock.h>

#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string error_of(const std::string& text) {
  try {
    resolve(parse_config(text, "run.toml"));
  } catch (const Error& error) {
    return std::string(to_string(error.code())) + " " + error.what();
  }
  return "none";
}

TEST(Config, TextGivesTheConfigBack) {
  Config config;
  config.train = "a \"quoted\" \\ name\n";
  config.model = "jordan";
  config.rate = 0.1 + 0.2;
  config.lower_case = true;
  config.seed = 9007199254740993;
  EXPECT_EQ(to_toml(parse_config(to_toml(config), "text")), to_toml(config));
  EXPECT_EQ(parse_config(to_toml(config), "text").train, config.train);
  EXPECT_EQ(parse_config(to_toml(config), "text").rate, config.rate);
}

TEST(Config, EmptyTextIsDefaults) { EXPECT_EQ(to_toml(parse_config("", "text")), to_toml(Config{})); }

TEST(Config, IntegerStandsForANumber) { EXPECT_EQ(parse_config("[training]\nrate = 1\n", "text").rate, 1.0); }

TEST(Config, ContextIsThreeForTheWindowModelOnly) {
  Config config;
  EXPECT_EQ(resolve(config).context, 0);
  config.model = "window";
  EXPECT_EQ(resolve(config).context, 3);
  config.context = 0;
  EXPECT_EQ(resolve(config).context, 0);
}

TEST(Config, MemoryHasAUnit) {
  const auto bytes = [](const std::string& text) {
    Config config;
    config.memory = text;
    return memory_bytes(config);
  };
  EXPECT_EQ(bytes(""), 0);
  EXPECT_EQ(bytes("200MB"), 200'000'000);
  EXPECT_EQ(bytes("1.5 GiB"), 3 * (std::int64_t{1} << 29));
  EXPECT_EQ(bytes("7B"), 7);
  for (const char* bad : {"200", "MB", "-1MB", "0MB", "1e30GB", "nan MB", "200MB x", "200mb", "0.1B"})
    EXPECT_THAT(error_of(std::string("[training]\nmemory = \"") + bad + "\"\n"), HasSubstr("such as 200MB")) << bad;
}

TEST(Config, ErrorsNameThePlace) {
  EXPECT_THAT(error_of("[network]\n\nhiden = 3\n"), HasSubstr("run.toml:3:network.hiden is not a known key"));
  EXPECT_THAT(error_of("[data]\nhidden = 3\n"), HasSubstr("is not a known key"));
  EXPECT_THAT(error_of("[network]\nhidden = \"x\"\n"), HasSubstr("must be a number"));
  EXPECT_THAT(error_of("[network\n"), HasSubstr("invalid_file config: run.toml:1"));
  EXPECT_THAT(error_of("hidden = 3\n"), HasSubstr("is not in a section"));
  EXPECT_THAT(error_of("[network]\nmodel = \"transformer\"\n"), HasSubstr("bilstm, got \"transformer\""));
  EXPECT_THAT(error_of("[network]\nhidden = 0\n"), HasSubstr("hidden must be 1 to 65536, got 0"));
  EXPECT_THAT(error_of("[network]\ndropout = nan\n"), HasSubstr("dropout must be"));
}

TEST(Config, TextOfATranscriptionGivesTheConfigBack) {
  Config config;
  config.task = "transcribe";
  config.mel_bins = 23;
  config.low_frequency = 62.5;
  config.lm = "digits.arpa";
  EXPECT_EQ(to_toml(parse_config(to_toml(config), "text")), to_toml(config));
  EXPECT_EQ(parse_config(to_toml(config), "text").lm, "digits.arpa");
  EXPECT_THAT(to_toml(config), Not(HasSubstr("embedding")));
  EXPECT_THAT(to_toml(Config{}), Not(HasSubstr("mel_bins")));
}

TEST(Config, KeysOfTheOtherTaskAreRefused) {
  EXPECT_THAT(error_of("[network]\nembedding = 5\n[data]\ntask = \"transcribe\"\n"),
              HasSubstr("run.toml:2:network.embedding is not read by task \"transcribe\", but by \"tag\""));
  EXPECT_THAT(error_of("[features]\nmel_bins = 5\n"), HasSubstr("is not read by task \"tag\""));
  EXPECT_THAT(error_of("[data]\ntask = \"transcribe\"\n[network]\nmodel = \"jordan\"\n"),
              HasSubstr("model \"jordan\" tags words"));
  EXPECT_THAT(error_of("[data]\ntask = \"transcribe\"\n[decoding]\nlm = \"a.arpa\"\n"),
              HasSubstr("lm is read by the beam decoder only"));
  EXPECT_THAT(error_of("[data]\ntask = \"transcribe\"\n[features]\nfeatures = \"mfcc\"\nmel_bins = 8\n"),
              HasSubstr("cepstra must not be more than the 8 mel_bins"));
}

TEST(Config, ACosineEndsWithItsEpochs) {
  Config before;
  before.schedule = "cosine";
  Config now = before;
  now.epochs = 100;
  EXPECT_THAT(differences(now, before), ElementsAre("epochs: 100, was 20"));
}

TEST(Config, MoreEpochsMayFollowButNotAnotherModel) {
  Config before, now;
  now.epochs = 100;
  now.checkpoint_every = 7;
  EXPECT_THAT(differences(now, before), IsEmpty());
  now.hidden = 64;
  EXPECT_THAT(differences(now, before), ElementsAre("hidden: 64, was 100"));
}

TEST(Config, ResultsDependOnEpochsButNotOnThreads) {
  Config before, now;
  now.threads = 3;
  now.checkpoint_every = 7;
  now.memory = "1 GB";
  now.train = "elsewhere.tsv";  // what it holds is compared by others
  EXPECT_THAT(result_differences(now, before), IsEmpty());
  now.epochs = 100;
  now.skip_bad = 1;
  now.hidden = 64;
  EXPECT_THAT(result_differences(now, before),
              ElementsAre("skip_bad: 1, was 0", "hidden: 64, was 100", "epochs: 100, was 20"));
}

}  // namespace
}  // namespace seqgpu::tool
