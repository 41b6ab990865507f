#include "config.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <sstream>

#include "seqgpu/error.hpp"

namespace seqgpu::tool {
namespace {

[[noreturn]] void refuse(const char* field, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, "config", field, detail);
}

void check_rules(const Config& config, const Field& field) {
  const Rules& rules = field.rules;
  std::visit(
      [&](auto member) {
        const auto& value = config.*member;
        using T = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<T, std::string>) {
          const auto& choices = rules.choices;
          if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
          refuse(field.name, fmt::format("must be one of {}, got \"{}\"", fmt::join(choices, ", "), value));
        } else if constexpr (!std::is_same_v<T, bool>) {
          const auto number = static_cast<double>(value);
          if (number >= rules.low && number <= rules.high) return;
          refuse(field.name, fmt::format("must be {} to {}, got {}", rules.low, rules.high, value));
        }
      },
      field.member);
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

template <class Counts>
std::vector<std::string> differences_where(const Config& now, const Config& before, const Counts& counts) {
  std::vector<std::string> lines;
  for (const Field& field : fields()) {
    if (!field.applies_to(now) || !counts(field)) continue;
    const std::string a = show(now, field), b = show(before, field);
    if (a != b) lines.push_back(fmt::format("{}: {}, was {}", field.name, a, b));
  }
  return lines;
}

}  // namespace

std::int64_t memory_bytes(const Config& config) {
  if (config.memory.empty()) return 0;
  struct Unit {
    const char* name;
    double bytes;
  };
  constexpr Unit kUnits[] = {{"B", 1},
                             {"kB", 1e3},
                             {"MB", 1e6},
                             {"GB", 1e9},
                             {"KiB", 1024},
                             {"MiB", 1024 * 1024},
                             {"GiB", 1024 * 1024 * 1024}};
  std::istringstream text(config.memory);
  double number = 0;
  std::string unit, rest;
  if (text >> number >> unit && !(text >> rest))
    for (const Unit& known : kUnits)
      if (unit == known.name && number * known.bytes >= 1 && number * known.bytes < 1e18)
        return static_cast<std::int64_t>(number * known.bytes);
  refuse("memory",
         fmt::format("must be a number with B, kB, MB, GB, KiB, MiB or GiB, such as 200MB, got \"{}\"", config.memory));
}

bool Field::applies_to(const Config& config) const {
  return rules.read_by == ReadBy::both || (rules.read_by == ReadBy::transcription) == (config.task == "transcribe");
}

std::string flag_of(const Field& field) {
  std::string flag = std::string("--") + field.name;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

bool can_transcribe(std::string_view model) { return model != "window" && model != "jordan"; }

Config resolve(Config config) {
  if (config.context < 0) config.context = config.model == "window" ? 3 : 0;
  for (const Field& field : fields()) {
    if (field.applies_to(config)) check_rules(config, field);
  }
  memory_bytes(config);
  if (config.ema_decay > 0 && config.weight_noise > 0) {
    refuse("ema_decay", "would average parameters with weight_noise on them; take one of the two");
  }
  if (config.task == "transcribe") {
    if (!can_transcribe(config.model)) {
      refuse("model",
             fmt::format("\"{}\" tags words; to transcribe take elman, gru, lstm, or their bi- form", config.model));
    }
    if (config.features == "mfcc" && config.cepstra > config.mel_bins) {
      refuse("cepstra", fmt::format("must not be more than the {} mel_bins, got {}", config.mel_bins, config.cepstra));
    }
    if (config.decoder == "greedy" && !(config.lm.empty() && config.lexicon.empty())) {
      refuse(config.lm.empty() ? "lexicon" : "lm", "is read by the beam decoder only; add --decoder beam");
    }
  }
  if (config.schedule_steps < 1 && config.schedule != "cosine") refuse("schedule_steps", "must be at least 1, got 0");
  return config;
}

std::string to_toml(const Config& config) {
  std::string text;
  std::string_view section;
  for (const Field& field : fields()) {
    if (!field.applies_to(config)) continue;
    if (section != field.section) {
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", field.section);
      section = field.section;
    }
    text += fmt::format("{} = {}\n", field.name, show(config, field));
  }
  return text;
}

void check_applies(const Config& config, const Field& field, const std::string& where) {
  if (field.applies_to(config)) return;
  throw Error(ErrorCode::invalid_argument, "config", where,
              fmt::format("is not read by task \"{}\", but by \"{}\"; take it away, or set the task", config.task,
                          config.task == "tag" ? "transcribe" : "tag"));
}

Config parse_config(std::string_view text, const std::string& name) {
  Config config;
  std::vector<std::pair<const Field*, std::string>> given;
  try {
    const toml::table file = toml::parse(text, name);
    for (const auto& [section, content] : file) {
      const toml::table* table = content.as_table();
      if (table == nullptr) {
        throw Error(ErrorCode::invalid_file, "config", fmt::format("{}:{}", name, section.str()),
                    "is not in a section");
      }
      for (const auto& [key, node] : *table) {
        const auto found = std::find_if(fields().begin(), fields().end(), [&](const Field& field) {
          return section.str() == field.section && key.str() == field.name;
        });
        const std::string where = fmt::format("{}:{}:{}.{}", name, node.source().begin.line, section.str(), key.str());
        if (found == fields().end()) throw Error(ErrorCode::invalid_file, "config", where, "is not a known key");
        std::visit([&](auto member) { assign(config, member, node, where); }, found->member);
        given.emplace_back(&*found, where);
      }
    }
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::invalid_file, "config",
                fmt::format("{}:{}:{}", name, error.source().begin.line, error.source().begin.column),
                std::string(error.description()));
  }
  for (const auto& [field, where] : given) check_applies(config, *field, where);
  return config;
}

std::vector<std::string> differences(const Config& now, const Config& before) {
  return differences_where(now, before, [&](const Field& field) {
    // A cosine ends with the last epoch: with another number of them, it would have been another one all along.
    const bool bent = std::string_view(field.name) == "epochs" && now.schedule == "cosine";
    return field.rules.on_resume == OnResume::must_match || bent;
  });
}

std::vector<std::string> result_differences(const Config& now, const Config& before) {
  return differences_where(now, before, [](const Field& field) { return field.rules.matters == Matters::value; });
}

}  // namespace seqgpu::tool
