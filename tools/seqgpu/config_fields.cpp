// The table of all that a config holds.
#include <array>

#include "config.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::array kTasks{"tag", "transcribe"};
constexpr std::array kModels{"window", "elman", "jordan", "bielman", "gru", "bigru", "lstm", "bilstm"};
constexpr std::array kActivations{"tanh", "sigmoid", "relu", "linear"};
constexpr std::array kPrecisions{"f32", "tf32", "bf16"};
constexpr std::array kSchedules{"constant", "step", "plateau", "warmup", "cosine"};
constexpr std::array kUnits{"characters", "words"};
constexpr std::array kFeatures{"filterbank", "mfcc"};
constexpr std::array kDecoders{"greedy", "beam"};
constexpr std::array kLanguageUnits{"words", "symbols"};

constexpr auto kFree = OnResume::may_change;
constexpr auto kFile = Matters::file_content;
constexpr auto kTagging = ReadBy::tagging;
constexpr auto kSpeech = ReadBy::transcription;

Field field(const char* section, const char* name, Member member, const char* help, const Rules& rules = {}) {
  return {section, name, member, help, rules};
}

const std::array kFields{
    field("data", "task", &Config::task, "tag: words of IOB files; transcribe: sound files of a manifest",
          {.choices = kTasks}),
    field("data", "train", &Config::train, "to train on: IOB columns; or a manifest, path<TAB>transcript a line",
          {.on_resume = kFree, .matters = kFile}),
    field("data", "dev", &Config::dev, "chooses the best epoch; none: a part of the training set",
          {.on_resume = kFree, .matters = kFile}),
    field("data", "test", &Config::test, "scored at the end", {.on_resume = kFree, .matters = kFile}),
    field("data", "skip_bad", &Config::skip_bad, "leave out up to this many malformed lines or recordings of a file",
          {.low = 0, .high = 1e15, .on_resume = kFree}),
    field("data", "dev_fraction", &Config::dev_fraction, "part of the training set held back when there is no dev",
          {.low = 0, .high = 0.9}),
    field("data", "min_count", &Config::min_count, "rarer words become unknown",
          {.low = 1, .high = 1e9, .read_by = kTagging}),
    field("data", "digits_to_zero", &Config::digits_to_zero, "read every digit as 0", {.read_by = kTagging}),
    field("data", "lower_case", &Config::lower_case, "ignore case in words", {.read_by = kTagging}),
    field("data", "unit", &Config::unit, "what a symbol of a transcript is: characters or words",
          {.choices = kUnits, .read_by = kSpeech}),
    field("data", "sample_rate", &Config::sample_rate, "of all recordings, in Hz; 0: that of the first",
          {.low = 0, .high = 1e6, .read_by = kSpeech}),
    field("features", "features", &Config::features, "filterbank (log mel energies) or mfcc",
          {.choices = kFeatures, .read_by = kSpeech}),
    field("features", "mel_bins", &Config::mel_bins, "triangles of the mel filterbank",
          {.low = 3, .high = 1024, .read_by = kSpeech}),
    field("features", "cepstra", &Config::cepstra, "mfcc: coefficients", {.low = 1, .high = 1024, .read_by = kSpeech}),
    field("features", "low_frequency", &Config::low_frequency, "lower edge of the filterbank, in Hz",
          {.low = 0, .high = 5e5, .read_by = kSpeech}),
    field("features", "high_frequency", &Config::high_frequency,
          "upper edge; 0 or less: half the sample rate plus this", {.low = -5e5, .high = 5e5, .read_by = kSpeech}),
    field("features", "frame_ms", &Config::frame_ms, "length of a frame",
          {.low = 0.1, .high = 10000, .read_by = kSpeech}),
    field("features", "shift_ms", &Config::shift_ms, "from one frame to the next",
          {.low = 0.1, .high = 10000, .read_by = kSpeech}),
    field("features", "delta_order", &Config::delta_order, "derivatives in time joined to each frame",
          {.low = 0, .high = 4, .read_by = kSpeech}),
    field("features", "stack", &Config::stack, "frames joined into one that the network reads",
          {.low = 1, .high = 100, .read_by = kSpeech}),
    field("features", "stride", &Config::stride, "frames from the start of one such to the next",
          {.low = 1, .high = 100, .read_by = kSpeech}),
    field("features", "time_masks", &Config::time_masks, "SpecAugment: masks over time, in training",
          {.low = 0, .high = 1000, .read_by = kSpeech}),
    field("features", "max_time", &Config::max_time, "stacked frames that such a mask covers at most",
          {.low = 0, .high = 1e6, .read_by = kSpeech}),
    field("features", "max_time_share", &Config::max_time_share, "share of the recording that it covers at most",
          {.low = 0, .high = 1, .read_by = kSpeech}),
    field("features", "frequency_masks", &Config::frequency_masks, "SpecAugment: masks over frequency",
          {.low = 0, .high = 1000, .read_by = kSpeech}),
    field("features", "max_frequency", &Config::max_frequency, "mel bins or cepstra that such a mask covers at most",
          {.low = 0, .high = 1024, .read_by = kSpeech}),
    field("features", "feature_noise", &Config::feature_noise,
          "deviation of Gaussian noise on normalised features, in training",
          {.low = 0, .high = 100, .read_by = kSpeech}),
    field("network", "model", &Config::model,
          "elman, gru, lstm, bielman, bigru or bilstm; tagging also window and jordan", {.choices = kModels}),
    field("network", "embedding", &Config::embedding, "width of a word's vector",
          {.low = 1, .high = 65536, .read_by = kTagging}),
    field("network", "trigrams", &Config::trigrams, "width of the letter-trigram vector; 0: off",
          {.low = 0, .high = 65536, .read_by = kTagging}),
    field("network", "context", &Config::context, "words on each side joined to a word; -1: 3 for window, else 0",
          {.low = 0, .high = 32, .read_by = kTagging}),
    field("network", "hidden", &Config::hidden, "units of a layer and direction", {.low = 1, .high = 65536}),
    field("network", "layers", &Config::layers, "layers", {.low = 1, .high = 64}),
    field("network", "activation", &Config::activation, "of Elman and Jordan units: tanh, sigmoid, relu or linear",
          {.choices = kActivations}),
    field("network", "jordan_activation", &Config::jordan_activation, "of what recurs in a Jordan network",
          {.choices = kActivations, .read_by = kTagging}),
    field("network", "precision", &Config::precision, "of recurrent products: f32, tf32 on a GPU, or bf16",
          {.choices = kPrecisions}),
    field("network", "input_dropout", &Config::input_dropout, "chance that an input element is dropped",
          {.low = 0, .high = 0.99}),
    field("network", "dropout", &Config::dropout, "chance that a hidden output is dropped", {.low = 0, .high = 0.99}),
    field("training", "epochs", &Config::epochs, "passes over the training set",
          {.low = 1, .high = 1e6, .on_resume = kFree}),
    field("training", "batch", &Config::batch, "sentences or recordings in a step", {.low = 1, .high = 65536}),
    field("training", "batch_frames", &Config::batch_frames,
          "stacked frames in a step at most, padding counted; 0: no limit",
          {.low = 0, .high = 1e12, .read_by = kSpeech}),
    field("training", "frame_multiple", &Config::frame_multiple,
          "lengths are rounded up to it, so that like lengths share a batch",
          {.low = 1, .high = 1e6, .read_by = kSpeech}),
    field("training", "seed", &Config::seed, "of all that is random", {.low = 0, .high = 9e18}),
    field("training", "rate", &Config::rate, "Adam's learning rate", {.low = 0, .high = 1000}),
    field("training", "clip_norm", &Config::clip_norm, "longest gradient; 0: no limit", {.low = 0, .high = 1e30}),
    field("training", "weight_decay", &Config::weight_decay, "added to the gradient, times the parameter",
          {.low = 0, .high = 1000}),
    field("training", "word_dropout", &Config::word_dropout, "chance that a training word is read as unknown",
          {.low = 0, .high = 1, .read_by = kTagging}),
    field("training", "weight_noise", &Config::weight_noise, "deviation of Gaussian noise on the parameters of a step",
          {.low = 0, .high = 100}),
    field(
        "training", "ema_decay", &Config::ema_decay,
        "share of the past in a moving average of the parameters, which is then what epochs are scored by and what is "
        "kept; 0: none",
        {.low = 0, .high = 0.999999}),
    field("training", "schedule", &Config::schedule, "of the rate: constant, step, plateau, warmup or cosine",
          {.choices = kSchedules}),
    field("training", "schedule_steps", &Config::schedule_steps,
          "step: steps between changes; warmup, cosine: steps that it rises", {.low = 0, .high = 1e15}),
    field("training", "schedule_factor", &Config::schedule_factor, "step: factor of a change", {.low = 0, .high = 1}),
    field("training", "schedule_patience", &Config::schedule_patience, "plateau: epochs without gain before it halves",
          {.low = 1, .high = 1e6}),
    field("training", "patience", &Config::patience, "stop after this many epochs without gain; 0: never",
          {.low = 0, .high = 1e6}),
    field("training", "checkpoint_every", &Config::checkpoint_every, "steps between checkpoints; 0: each epoch",
          {.low = 0, .high = 1e15, .on_resume = kFree, .matters = Matters::nothing}),
    field("training", "threads", &Config::threads, "0: all that the machine allows",
          {.low = 0, .high = 1024, .on_resume = kFree, .matters = Matters::nothing}),
    field(
        "training", "memory", &Config::memory,
        "most that training may hold on the device, such as 200MB: recurrent layers on the CPU then run forward again "
        "in backward; empty: no limit",
        {.on_resume = kFree, .matters = Matters::nothing}),
    field("decoding", "decoder", &Config::decoder, "of the test set: greedy or beam; epochs are compared by greedy",
          {.choices = kDecoders, .read_by = kSpeech, .on_resume = kFree}),
    field("decoding", "beam_width", &Config::beam_width, "beam: prefixes kept after each frame",
          {.low = 1, .high = 1e6, .read_by = kSpeech, .on_resume = kFree}),
    field("decoding", "top_k", &Config::top_k, "beam: symbols of a frame that extend a prefix; 0: all",
          {.low = 0, .high = 1e6, .read_by = kSpeech, .on_resume = kFree}),
    field("decoding", "lm", &Config::lm, "beam: n-gram language model, ARPA file",
          {.read_by = kSpeech, .on_resume = kFree, .matters = kFile}),
    field("decoding", "lm_unit", &Config::lm_unit,
          "what its n-grams are of: words or symbols (the space spelled <space>)",
          {.choices = kLanguageUnits, .read_by = kSpeech, .on_resume = kFree}),
    field("decoding", "lm_weight", &Config::lm_weight, "beam: factor of its log-probability",
          {.low = 0, .high = 1000, .read_by = kSpeech, .on_resume = kFree}),
    field("decoding", "insertion", &Config::insertion, "beam: added to the score for each of its units",
          {.low = -1000, .high = 1000, .read_by = kSpeech, .on_resume = kFree}),
    field("decoding", "lexicon", &Config::lexicon, "beam: file with the words that may be said, one a line",
          {.read_by = kSpeech, .on_resume = kFree, .matters = kFile}),
};

}  // namespace

std::span<const Field> fields() { return kFields; }
std::span<const char* const> model_names() { return kModels; }

}  // namespace seqgpu::tool
