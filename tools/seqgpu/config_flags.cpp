#include <algorithm>

#include "commands.hpp"
#include "run_folder.hpp"

namespace seqgpu::tool {

void ConfigFlags::add_to(CLI::App& command, const std::vector<std::string>& without) {
  command.add_option("--config", *file_, "TOML file with any of the options below; flags win over it");
  for (const Field& field : fields()) {
    if (std::find(without.begin(), without.end(), field.name) != without.end()) continue;
    std::string flag = std::string("--") + field.name;
    std::replace(flag.begin(), flag.end(), '_', '-');
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
}

Config ConfigFlags::resolved() const {
  Config config = file_->empty() ? Config{} : parse_config(read_text(*file_), *file_);
  for (const auto& [field, option] : options_) {
    if (option->count() == 0) continue;
    std::visit([&config, this](auto member) { config.*member = (*given_).*member; }, field->member);
  }
  return resolve(config);
}

bool ConfigFlags::given(const std::string& name) const {
  return std::any_of(options_.begin(), options_.end(),
                     [&](const auto& entry) { return entry.first->name == name && entry.second->count() > 0; });
}

}  // namespace seqgpu::tool
