#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "seqgpu/config.hpp"

namespace seqgpu::tool {

// Each adds one subcommand, whose callback does the work and throws Error where it cannot.
void add_demo(CLI::App& app);

/// A flag for each field of Config, and --config for a file below them.
class ConfigFlags {
 public:
  /// @param without  names of fields that get no flag
  void add_to(CLI::App& command, const std::vector<std::string>& without = {});
  /// Defaults, then the file, then the flags that were given; checked.
  Config resolved() const;

 private:
  std::shared_ptr<Config> given_ = std::make_shared<Config>();
  std::shared_ptr<std::string> file_ = std::make_shared<std::string>();
  std::vector<std::pair<const Field*, const CLI::Option*>> options_;
};

}  // namespace seqgpu::tool
