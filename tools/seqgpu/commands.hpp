#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config.hpp"

namespace seqgpu::tool {

// Each adds one subcommand, whose callback does the work and throws Error where it cannot.
/// @param program  how this program was called, for the commands to try next
void add_demo(CLI::App& app, const std::string& program);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_predict(CLI::App& app);
void add_info(CLI::App& app);
void add_doctor(CLI::App& app);
void add_bench(CLI::App& app);
/// @param command_line  stands at the top of the table
void add_compare(CLI::App& app, const std::string& command_line);

/// A flag for each field of Config, and --config for a file below them.
class ConfigFlags {
 public:
  /// @param without  names of fields that get no flag
  void add_to(CLI::App& command, const std::vector<std::string>& without = {});
  /// Only the fields of a section, and no file.
  void add_section_to(CLI::App& command, const std::string& section);
  /// Defaults, then the file, then the flags that were given; checked.
  Config resolved() const;
  /// The flags that were given, on top of a config; checked.
  Config over(Config config) const;
  /// Defaults, then the file, then the flags that were given; what is left to be decided is left.
  Config unresolved() const;

 private:
  void add(CLI::App& command, const Field& field);
  Config with_flags(Config config) const;

  std::shared_ptr<Config> given_ = std::make_shared<Config>();
  std::shared_ptr<std::string> file_ = std::make_shared<std::string>();
  std::vector<std::pair<const Field*, const CLI::Option*>> options_;
};

/// What `seqgpu eval` was told beside the model.
struct EvalOptions {
  std::string data;
  std::int64_t skip_bad = 0;
  bool json = false;
  ConfigFlags decoding;  ///< on top of the model's own
};

/// The same for `seqgpu predict`.
struct PredictOptions {
  std::vector<std::string> files;  ///< sound files; none: `input`
  std::string input = "-", format;
  std::int64_t skip_bad = 0;
  ConfigFlags decoding;
};

}  // namespace seqgpu::tool
