#include "config.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

constexpr std::array kModels{"window", "elman", "jordan", "bielman", "gru", "bigru", "lstm", "bilstm"};
constexpr auto kFree = OnResume::may_change;

const std::array kFields{
    Field{"data", "train", &Config::train, "training sentences, IOB columns", kFree},
    Field{"data", "dev", &Config::dev, "sentences that choose the best epoch; none: a part of the training set", kFree},
    Field{"data", "test", &Config::test, "sentences scored at the end", kFree},
    Field{"data", "skip_bad", &Config::skip_bad, "leave out up to this many malformed lines of a file", kFree},
    Field{"data", "dev_fraction", &Config::dev_fraction, "part of the training set held back when there is no dev"},
    Field{"data", "min_count", &Config::min_count, "rarer words become unknown"},
    Field{"data", "digits_to_zero", &Config::digits_to_zero, "read every digit as 0"},
    Field{"data", "lower_case", &Config::lower_case, "ignore case in words"},
    Field{"network", "model", &Config::model, "window, elman, jordan, bielman, gru, bigru, lstm or bilstm"},
    Field{"network", "embedding", &Config::embedding, "width of a word's vector"},
    Field{"network", "trigrams", &Config::trigrams, "width of the letter-trigram vector; 0: off"},
    Field{"network", "context", &Config::context, "words on each side joined to a word; -1: 3 for window, else 0"},
    Field{"network", "hidden", &Config::hidden, "units of a layer and direction"},
    Field{"network", "layers", &Config::layers, "layers"},
    Field{"network", "activation", &Config::activation, "of Elman and Jordan units: tanh, sigmoid, relu or linear"},
    Field{"network", "jordan_activation", &Config::jordan_activation, "of what recurs in a Jordan network"},
    Field{"network", "precision", &Config::precision, "of recurrent products on a GPU: f32, tf32 or bf16"},
    Field{"network", "input_dropout", &Config::input_dropout, "chance that an input element is dropped"},
    Field{"network", "dropout", &Config::dropout, "chance that a hidden output is dropped"},
    Field{"training", "epochs", &Config::epochs, "passes over the training set", kFree},
    Field{"training", "batch", &Config::batch, "sentences in a step"},
    Field{"training", "seed", &Config::seed, "of all that is random"},
    Field{"training", "rate", &Config::rate, "Adam's learning rate"},
    Field{"training", "clip_norm", &Config::clip_norm, "longest gradient; 0: no limit"},
    Field{"training", "weight_decay", &Config::weight_decay, "added to the gradient, times the parameter"},
    Field{"training", "word_dropout", &Config::word_dropout, "chance that a training word is read as unknown"},
    Field{"training", "schedule", &Config::schedule, "of the rate: constant, step, plateau or warmup"},
    Field{"training", "schedule_steps", &Config::schedule_steps, "step: steps between changes; warmup: its length"},
    Field{"training", "schedule_factor", &Config::schedule_factor, "step: factor of a change"},
    Field{"training", "schedule_patience", &Config::schedule_patience, "plateau: epochs without gain before it halves"},
    Field{"training", "patience", &Config::patience, "stop after this many epochs without gain; 0: never"},
    Field{"training", "checkpoint_every", &Config::checkpoint_every, "steps between checkpoints; 0: each epoch", kFree},
    Field{"training", "threads", &Config::threads, "0: all that the machine allows", kFree},
};

[[noreturn]] void refuse(const char* field, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "config", field, detail);
}

void check_range(const char* field, double value, double low, double high) {
  if (!(value >= low && value <= high)) refuse(field, fmt::format("must be {} to {}, got {}", low, high, value));
}

void check_choice(const char* field, const std::string& value, std::initializer_list<const char*> choices) {
  if (std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  refuse(field, fmt::format("must be one of {}, got \"{}\"", fmt::join(choices, ", "), value));
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string show(const Config& config, const Field& field) {
  return std::visit(
      [&](auto member) {
        const auto& value = config.*member;
        if constexpr (std::is_same_v<decltype(value), const std::string&>) {
          return quoted(value);
        } else {
          return fmt::format("{}", value);
        }
      },
      field.member);
}

template <class T>
void assign(Config& config, T Config::*member, const toml::node& node, const std::string& where) {
  if (const auto value = node.value<T>()) {
    config.*member = *value;
    return;
  }
  const char* wanted = std::is_same_v<T, std::string> ? "a string"
                       : std::is_same_v<T, bool>      ? "true or false"
                                                      : "a number";
  throw Error(ErrorCode::invalid_file, "config", where, fmt::format("must be {}", wanted));
}

}  // namespace

std::span<const Field> fields() { return kFields; }
std::span<const char* const> model_names() { return kModels; }

Config resolve(Config config) {
  if (std::find(kModels.begin(), kModels.end(), config.model) == kModels.end()) {
    refuse("model", fmt::format("must be one of {}, got \"{}\"", fmt::join(kModels, ", "), config.model));
  }
  if (config.context < 0) config.context = config.model == "window" ? 3 : 0;
  check_choice("precision", config.precision, {"f32", "tf32", "bf16"});
  for (const auto* activation : {&config.activation, &config.jordan_activation}) {
    check_choice("activation", *activation, {"tanh", "sigmoid", "relu", "linear"});
  }
  check_choice("schedule", config.schedule, {"constant", "step", "plateau", "warmup"});
  check_range("skip_bad", static_cast<double>(config.skip_bad), 0, 1e15);
  check_range("dev_fraction", config.dev_fraction, 0, 0.9);
  check_range("min_count", static_cast<double>(config.min_count), 1, 1e9);
  check_range("embedding", static_cast<double>(config.embedding), 1, 65536);
  check_range("trigrams", static_cast<double>(config.trigrams), 0, 65536);
  check_range("context", static_cast<double>(config.context), 0, 32);
  check_range("hidden", static_cast<double>(config.hidden), 1, 65536);
  check_range("layers", static_cast<double>(config.layers), 1, 64);
  check_range("input_dropout", config.input_dropout, 0, 0.99);
  check_range("dropout", config.dropout, 0, 0.99);
  check_range("epochs", static_cast<double>(config.epochs), 1, 1e6);
  check_range("batch", static_cast<double>(config.batch), 1, 65536);
  check_range("seed", static_cast<double>(config.seed), 0, 9e18);
  check_range("rate", config.rate, 0, 1000);
  check_range("clip_norm", config.clip_norm, 0, 1e30);
  check_range("weight_decay", config.weight_decay, 0, 1000);
  check_range("word_dropout", config.word_dropout, 0, 1);
  check_range("schedule_steps", static_cast<double>(config.schedule_steps), 1, 1e15);
  check_range("schedule_factor", config.schedule_factor, 0, 1);
  check_range("schedule_patience", static_cast<double>(config.schedule_patience), 1, 1e6);
  check_range("patience", static_cast<double>(config.patience), 0, 1e6);
  check_range("checkpoint_every", static_cast<double>(config.checkpoint_every), 0, 1e15);
  check_range("threads", static_cast<double>(config.threads), 0, 1024);
  return config;
}

std::string to_toml(const Config& config) {
  std::string text;
  std::string_view section;
  for (const Field& field : kFields) {
    if (section != field.section) {
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", field.section);
      section = field.section;
    }
    text += fmt::format("{} = {}\n", field.name, show(config, field));
  }
  return text;
}

Config parse_config(std::string_view text, const std::string& name) {
  Config config;
  try {
    const toml::table file = toml::parse(text, name);
    for (const auto& [section, content] : file) {
      const toml::table* table = content.as_table();
      if (table == nullptr) {
        throw Error(ErrorCode::invalid_file, "config", fmt::format("{}:{}", name, section.str()),
                    "is not in a section");
      }
      for (const auto& [key, node] : *table) {
        const auto found = std::find_if(kFields.begin(), kFields.end(), [&](const Field& field) {
          return section.str() == field.section && key.str() == field.name;
        });
        const std::string where = fmt::format("{}:{}:{}.{}", name, node.source().begin.line, section.str(), key.str());
        if (found == kFields.end()) throw Error(ErrorCode::invalid_file, "config", where, "is not a known key");
        std::visit([&](auto member) { assign(config, member, node, where); }, found->member);
      }
    }
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::invalid_file, "config",
                fmt::format("{}:{}:{}", name, error.source().begin.line, error.source().begin.column),
                std::string(error.description()));
  }
  return config;
}

std::vector<std::string> differences(const Config& now, const Config& before) {
  std::vector<std::string> lines;
  for (const Field& field : kFields) {
    if (field.on_resume == OnResume::may_change) continue;
    const std::string a = show(now, field), b = show(before, field);
    if (a != b) lines.push_back(fmt::format("{}: {}, was {}", field.name, a, b));
  }
  return lines;
}

}  // namespace seqgpu::tool
