#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace seqgpu::tool {

/// All that decides how a model is trained. Every field is a key of the TOML file and a flag: see fields(), which also
/// says what each one means, and for which task.
struct Config {
  std::string task = "tag";
  std::string train, dev, test;
  std::int64_t skip_bad = 0;
  double dev_fraction = 0.1;
  std::int64_t min_count = 1;
  bool digits_to_zero = false, lower_case = false;
  std::string unit = "characters";
  std::int64_t sample_rate = 0;

  std::string features = "filterbank";
  std::int64_t mel_bins = 40, cepstra = 13;
  double low_frequency = 20, high_frequency = 0, frame_ms = 25, shift_ms = 10;
  std::int64_t delta_order = 0, stack = 1, stride = 1;
  std::int64_t time_masks = 0, max_time = 10, frequency_masks = 0, max_frequency = 8;
  double max_time_share = 0.2, feature_noise = 0;

  std::string model = "bilstm";
  std::int64_t embedding = 100;
  std::int64_t trigrams = 0;
  std::int64_t context = -1;
  std::int64_t hidden = 100;
  std::int64_t layers = 1;
  std::string activation = "tanh", jordan_activation = "sigmoid", precision = "f32";
  double input_dropout = 0.25, dropout = 0.25;

  std::int64_t epochs = 20, batch = 16, batch_frames = 0, frame_multiple = 16, seed = 1;
  double rate = 0.002, clip_norm = 5.0, weight_decay = 0.0, word_dropout = 0.05, weight_noise = 0.0, ema_decay = 0.0;
  std::string schedule = "constant";
  std::int64_t schedule_steps = 1000, schedule_patience = 2;
  double schedule_factor = 0.5;
  std::int64_t patience = 0;
  std::int64_t checkpoint_every = 0, threads = 0;
  std::string memory;

  std::string decoder = "greedy";
  std::int64_t beam_width = 16, top_k = 0;
  std::string lm, lm_unit = "words", lexicon;
  double lm_weight = 1, insertion = 0;
};

using Member = std::variant<std::string Config::*, std::int64_t Config::*, double Config::*, bool Config::*>;

/// Whether a run may go on from its checkpoints after the field changed.
enum class OnResume : std::uint8_t { must_match, may_change };
/// What of the field the results of a run depend on.
enum class Matters : std::uint8_t { value, file_content, nothing };
/// Which task reads the field.
enum class ReadBy : std::uint8_t { both, tagging, transcription };

struct Rules {
  double low = std::numeric_limits<double>::lowest(), high = std::numeric_limits<double>::max();  ///< of a number
  std::span<const char* const> choices = {};  ///< of a text; empty: any
  ReadBy read_by = ReadBy::both;
  OnResume on_resume = OnResume::must_match;
  Matters matters = Matters::value;
};

struct Field {
  const char* section;  ///< of the TOML file
  const char* name;     ///< its key; the flag has hyphens
  Member member;
  const char* help;
  Rules rules = {};

  bool applies_to(const Config& config) const;
};

/// Every field, in the order of the file.
std::span<const Field> fields();
/// "--mel-bins"
std::string flag_of(const Field& field);

/// Names that `model` takes for tagging.
std::span<const char* const> model_names();
/// Whether a recogniser may be of it.
bool can_transcribe(std::string_view model);

/// Fills what is left to be decided (context: 3 for the window model, else 0) and checks ranges.
/// @throws Error{invalid_argument} naming the field
Config resolve(Config config);

/// TOML text with every field that the task reads; parse_config() gives an equal Config back.
std::string to_toml(const Config& config);

/// Defaults with the keys of `text` on top.
/// @param name  stands for the text in messages
/// @throws Error{invalid_file} for bad TOML, an unknown key or a value of another type; Error{invalid_argument} for a
/// key that the task does not read
Config parse_config(std::string_view text, const std::string& name);

/// @throws Error{invalid_argument} for a field that config's task does not read
void check_applies(const Config& config, const Field& field, const std::string& where);

/// What `memory` says: "200MB" is 200,000,000, "1.5 GiB" is 1.5 * 2^30; 0 for "".
/// @throws Error{invalid_argument}
std::int64_t memory_bytes(const Config& config);

/// "hidden: 64, was 100" for each field that must match on resume and does not.
std::vector<std::string> differences(const Config& now, const Config& before);
/// The same for each field whose value a result depends on; what its files hold is for the caller to compare.
std::vector<std::string> result_differences(const Config& now, const Config& before);

}  // namespace seqgpu::tool
