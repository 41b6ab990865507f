#include <algorithm>
#include <utility>

#include "commands.hpp"
#include "run_folder.hpp"

namespace seqgpu::tool {

void ConfigFlags::add(CLI::App& command, const Field& field) {
  const std::string flag = flag_of(field);
  CLI::Option* option = std::visit(
      [&](auto member) -> CLI::Option* {
        auto& value = (*given_).*member;
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, bool>) {
          return command.add_flag(flag + ",!--no-" + flag.substr(2), value, field.help);
        } else {
          return command.add_option(flag, value, field.help)->capture_default_str();
        }
      },
      field.member);
  option->group(field.section);
  options_.emplace_back(&field, option);
}

void ConfigFlags::add_to(CLI::App& command, const std::vector<std::string>& without) {
  command.add_option("--config", *file_, "TOML file with any of the options below; flags win over it");
  for (const Field& field : fields()) {
    if (std::find(without.begin(), without.end(), field.name) == without.end()) add(command, field);
  }
}

void ConfigFlags::add_section_to(CLI::App& command, const std::string& section) {
  for (const Field& field : fields()) {
    if (section == field.section) add(command, field);
  }
}

Config ConfigFlags::resolved() const { return resolve(unresolved()); }

Config ConfigFlags::unresolved() const {
  return with_flags(file_->empty() ? Config{} : parse_config(read_text(*file_), *file_));
}

Config ConfigFlags::over(Config config) const { return resolve(with_flags(std::move(config))); }

Config ConfigFlags::with_flags(Config config) const {
  for (const auto& [field, option] : options_) {
    if (option->count() == 0) continue;
    std::visit([&config, this](auto member) { config.*member = (*given_).*member; }, field->member);
  }
  for (const auto& [field, option] : options_) {
    if (option->count() > 0) check_applies(config, *field, flag_of(*field));
  }
  return config;
}

}  // namespace seqgpu::tool
