// A recogniser: trained on a few chords, saved, loaded, and asked; what its data may not be.
#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "seqgpu/checkpoint.hpp"
#include "seqgpu/data/tone_corpus.hpp"
#include "tests/support/temporary_folder.hpp"
#include "tools/seqgpu/speech/task.hpp"
#include "tools/seqgpu/training.hpp"

namespace seqgpu::tool {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class RecogniserRun : public testing::Test {
 protected:
  void SetUp() override {
    data::ToneCorpusOptions options;
    options.train_utterances = 80;
    options.test_utterances = 20;
    options.letters = 3;
    options.longest = 5;
    options.snr_db = 20;
    files_ = data::write_tone_corpus(folder_.path(), options);
    config_.task = "transcribe";
    config_.train = files_.train_manifest;
    config_.dev = files_.test_manifest;
    config_.hidden = 20;
    config_.stack = config_.stride = 3;
    config_.batch = 4;
    config_.rate = 0.01;
    config_.dropout = config_.input_dropout = 0;
    config_.epochs = 5;
    config_.schedule = "cosine";
    config_.schedule_steps = 10;
    config_.threads = 2;
    config_ = resolve(config_);
  }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary) << text;
    return folder_ / name;
  }

  // What loading a training set of these lines says.
  std::string error_of(const std::string& lines, std::int64_t skip_bad = 0) const {
    Config config = config_;
    config.train = write("bad.tsv", lines);
    config.skip_bad = skip_bad;
    try {
      return std::to_string(load_speech_corpus(config).train.size());
    } catch (const Error& error) {
      return std::string(to_string(error.code())) + " " + error.what();
    }
  }

  test::TemporaryFolder folder_;
  data::ToneCorpusFiles files_;
  Config config_;
};

std::vector<std::string> texts(const std::vector<Transcription>& transcriptions) {
  std::vector<std::string> out;
  for (const Transcription& said : transcriptions) out.push_back(said.text);
  return out;
}

TEST_F(RecogniserRun, LearnsChordsAndSurvivesAFile) {
  const Device device = cpu_device(2);
  SpeechTask task(device, load_speech_corpus(config_));
  EXPECT_EQ(task.config().sample_rate, 8000);
  const TrainingResult training = train(task, {});
  EXPECT_LE(training.best.at("dev_cer"), 0.05);
  EXPECT_GT(training.best.at("dev_loss"), 0);
  ASSERT_EQ(training.history.size(), 5u);
  EXPECT_LT(training.history.back().loss, training.history.front().loss);

  const std::string path = folder_ / "model.safetensors";
  task.save(path, task.parameters().all());
  const ModelFile model = read_model(path);
  EXPECT_FALSE(model.is_tagger());
  LoadedRecogniser loaded = load_recogniser(model, device);
  data::Manifest manifest = load_manifest(files_.test_manifest, 0);
  Recordings read = loaded.front_end.read(manifest.name, manifest.utterances, loaded.recogniser->symbols(),
                                          data::UnknownSymbols::refused, 0);
  loaded.front_end.normalise(read);
  const Recordings& dev = task.corpus().dev;
  for (std::size_t i = 0; i < dev.size(); ++i) {
    EXPECT_TRUE(read.examples[i].features.bytes == dev.examples[i].features.bytes) << i;
  }
  const Decoder greedy = Decoder::greedy(1);
  EXPECT_EQ(texts(loaded.recogniser->transcribe(read.examples, greedy)),
            texts(task.recogniser().transcribe(dev.examples, greedy)));

  // Log-probabilities are those that were decoded, of as many frames as were read, and sum to 1.
  const auto kept = loaded.recogniser->transcribe(read.examples, greedy, true);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    const HostTensor& frames = kept[i].log_probs;
    ASSERT_EQ(frames.shape, (Shape{read.examples[i].features.shape[0], 4}));
    double sum = 0;
    for (const float value : frames.view<float>()) sum += std::exp(double{value});
    EXPECT_NEAR(sum, static_cast<double>(frames.shape[0]), 1e-4);
    const auto alone = decode::greedy({frames.view<float>(), frames.shape[0], 1, 4, {}});
    EXPECT_EQ(loaded.recogniser->symbols().decode(alone.front().labels), kept[i].text);
  }
}

TEST_F(RecogniserRun, ALanguageModelAndAWordListDecide) {
  const data::SymbolTable symbols =
      data::SymbolTable::build(std::vector<data::Utterance>{{"", "ab ba", 0}}, data::TranscriptUnit::characters);
  ASSERT_EQ(symbols.size(), 4);  // blank, space, a, b
  // Both "a" and "b" are likely; a little more so "b".
  std::vector<float> frame{0.02f, 0.02f, 0.45f, 0.51f};
  for (float& value : frame) value = std::log(value);
  const decode::FramesView frames{frame, 1, 1, 4, {}};
  Config config = config_;
  config.decoder = "beam";
  EXPECT_EQ(symbols.decode(Decoder(config, symbols)(frames).front().labels), "b");
  config.lm = write("a.arpa", "\\data\\\nngram 1=4\n\n\\1-grams:\n-99 <s>\n-0.1 a\n-2 b\n-0.5 </s>\n\n\\end\\\n");
  EXPECT_EQ(symbols.decode(Decoder(config, symbols)(frames).front().labels), "a");
  config.lm_weight = 0.001;
  EXPECT_EQ(symbols.decode(Decoder(config, symbols)(frames).front().labels), "b");
  config.lm = "";
  config.lexicon = write("words.txt", "ab\na\n");
  EXPECT_EQ(symbols.decode(Decoder(config, symbols)(frames).front().labels), "a");
  config.lexicon = write("words.txt", "ab\nac\n");
  try {
    Decoder{config, symbols};
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("words.txt:2"));
  }
}

TEST_F(RecogniserRun, CountsErrorsAndWhatWasConfused) {
  Recordings recordings;
  std::vector<Transcription> transcriptions;
  const auto add = [&](const char* said, const char* heard, double loss) {
    recordings.utterances.push_back({"x.wav", said, 1});
    recordings.examples.push_back({{}, std::vector<std::int32_t>(2, 1), "", {}});
    transcriptions.emplace_back();
    transcriptions.back().text = heard;
    transcriptions.back().loss = loss;
  };
  add("one two", "one two", 1);
  add("one two", "one three", 2);
  add("one two", "two", 3);
  add("one two", "five three", 4);
  const SpeechScores scores = score(recordings, transcriptions, data::TranscriptUnit::words);
  EXPECT_EQ(scores.words, (data::ErrorCounts{3, 1, 0, 8}));
  EXPECT_EQ(scores.wrong_recordings, 3);
  EXPECT_EQ(scores.recordings, 4);
  EXPECT_DOUBLE_EQ(scores.loss, 10.0 / 8);
  std::vector<std::string> confusions;
  for (const Confusion& c : scores.confusions) {
    confusions.push_back(c.reference + ">" + c.hypothesis + " " + std::to_string(c.count));
  }
  EXPECT_THAT(confusions, ElementsAre("two>three 2", "one> 1", "one>five 1"));
}

TEST_F(RecogniserRun, SymbolsThatItCannotWriteAreErrors) {
  Recordings recordings;
  std::vector<Transcription> transcriptions;
  const auto add = [&](const char* said, std::vector<std::string> unknown, const char* heard, double loss) {
    const std::size_t known = data::split_transcript(said, data::TranscriptUnit::words).size() - unknown.size();
    recordings.utterances.push_back({"x.wav", said, 1});
    recordings.examples.push_back({{}, std::vector<std::int32_t>(known, 1), "", std::move(unknown)});
    transcriptions.emplace_back();
    transcriptions.back().text = heard;
    transcriptions.back().loss = loss;
  };
  add("one zwei", {"zwei"}, "one two", 5);           // taken for another
  add("drei one zwei", {"drei", "zwei"}, "one", 6);  // missed
  add("vier", {"vier"}, "", 7);                      // nothing else said
  const SpeechScores none = score(recordings, transcriptions, data::TranscriptUnit::words);
  EXPECT_TRUE(std::isnan(none.loss));  // no transcript has a probability
  add("one two", {}, "one two", 3);
  add("funf sechs sieben", {"funf", "sechs", "sieben"}, "one one one", 9);

  const SpeechScores scores = score(recordings, transcriptions, data::TranscriptUnit::words);
  EXPECT_EQ(scores.words, (data::ErrorCounts{4, 3, 0, 11}));
  EXPECT_EQ(scores.wrong_recordings, 4);
  EXPECT_DOUBLE_EQ(scores.loss, 1.5);
  EXPECT_EQ(scores.unknown_count(), 7);
  ASSERT_EQ(scores.unknown.size(), 6u);
  EXPECT_EQ(scores.unknown.front().text, "zwei");
  EXPECT_EQ(scores.unknown.front().count, 2);
  EXPECT_THAT(score_table(scores),
              HasSubstr("unknown symbols in the data, counted as errors: 7 (\"zwei\" 2 times, \"drei\", \"funf\", "
                        "\"sechs\", \"sieben\" and 1 more)\n"));
}

TEST_F(RecogniserRun, TrainingRefusesASymbolOfDevOrTestThatItDoesNotShow) {
  for (std::string Config::*part : {&Config::dev, &Config::test}) {
    Config config = config_;
    config.*part = write("other.tsv", "train/00000.wav\tabc\ntrain/00001.wav\tabz\n");
    try {
      load_speech_corpus(config);
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_file);
      EXPECT_THAT(error.what(), testing::AllOf(HasSubstr("other.tsv:2"), HasSubstr("\"z\"")));
    }
  }
}

TEST_F(RecogniserRun, BadDataNamesFileAndLine) {
  const std::string good = "train/00000.wav\tabc\n";
  EXPECT_EQ(error_of(good), "1");
  EXPECT_THAT(error_of(good + "train/00001.wav abc\n"), HasSubstr("bad.tsv:2:20 expected a path, a tab"));
  EXPECT_THAT(error_of(good + "train/none.wav\tabc\n"),
              testing::AllOf(HasSubstr("io_failure"), HasSubstr("bad.tsv:2")));
  EXPECT_THAT(error_of(good + "train/00001.wav\t" + std::string(500, 'a') + "\n"),
              testing::AllOf(HasSubstr("bad.tsv:2"), HasSubstr("needs at least 999")));
  data::write_wav(folder_ / "rate.wav", {std::vector<float>(9000, 0.1f), 16000});
  EXPECT_THAT(error_of(good + "rate.wav\ta\n"), testing::AllOf(HasSubstr("bad.tsv:2"), HasSubstr("16000")));
  write("cut.wav", "RIFF");
  EXPECT_THAT(error_of(good + "cut.wav\ta\n"), testing::AllOf(HasSubstr("bad.tsv:2"), HasSubstr("cut.wav")));
  const std::string all = good + "cut.wav\ta\nno tab\nrate.wav\ta\n";
  EXPECT_EQ(error_of(all, 3), "1");
  EXPECT_THAT(error_of(all, 2), HasSubstr("bad.tsv:4"));
  EXPECT_THAT(error_of("cut.wav\ta\n", 1), HasSubstr("has no recording that can be read"));
  EXPECT_THAT(error_of("# nothing\n"), HasSubstr("holds no recording"));
  EXPECT_THAT(error_of("train/00000.wav\t\n"), HasSubstr("only empty transcripts"));
}

TEST_F(RecogniserRun, HeldBackRecordingsAreNotTrainedOn) {
  config_.dev = "";
  config_.dev_fraction = 0.25;
  const SpeechCorpus corpus = load_speech_corpus(config_);
  EXPECT_EQ(corpus.train.size(), 60u);
  EXPECT_EQ(corpus.dev.size(), 20u);
  for (const data::Utterance& held : corpus.dev.utterances) {
    for (const data::Utterance& trained : corpus.train.utterances) EXPECT_NE(held.path, trained.path);
  }
  EXPECT_EQ(corpus.front_end.statistics().frames(), [&] {
    std::int64_t frames = 0;
    for (const data::SpeechExample& example : corpus.train.examples) frames += example.features.shape[0];
    return frames;
  }());
}

}  // namespace
}  // namespace seqgpu::tool
