#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <system_error>

#include "commands.hpp"
#include "seqgpu/error.hpp"

namespace {

enum ExitCode { kUsage = 1, kBadInput = 2, kIo = 3, kInternal = 4 };

int exit_code(seqgpu::ErrorCode code) {
  switch (code) {
    case seqgpu::ErrorCode::invalid_argument:
    case seqgpu::ErrorCode::invalid_file: return kBadInput;
    case seqgpu::ErrorCode::io_failure: return kIo;
    default: return kInternal;
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Recurrent sequence labelling on CPU and GPU"};
  app.name("seqgpu");
  app.set_version_flag("--version", SEQGPU_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done, 1 wrong usage, 2 bad input (a file's content or an option's value),\n"
      "3 a file could not be read or written, 4 anything else.");
  std::string command_line = "seqgpu";
  for (int i = 1; i < argc; ++i) command_line += std::string(" ") + argv[i];
  seqgpu::tool::add_demo(app, argc > 0 ? argv[0] : "seqgpu");
  seqgpu::tool::add_train(app);
  seqgpu::tool::add_eval(app);
  seqgpu::tool::add_predict(app);
  seqgpu::tool::add_compare(app, command_line);
  seqgpu::tool::add_info(app);
  seqgpu::tool::add_doctor(app);
  seqgpu::tool::add_bench(app);
  try {
    app.parse(argc, argv);
    if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
    fmt::print(stderr, "seqgpu: stdout cannot be written\n");
    return kIo;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kUsage;
  } catch (const seqgpu::Error& error) {
    fmt::print(stderr, "seqgpu: {}\n", error.what());
    return exit_code(error.code());
  } catch (const std::system_error& error) {  // what fmt throws where it cannot print
    fmt::print(stderr, "seqgpu: {}\n", error.what());
    return kIo;
  } catch (const std::exception& error) {
    fmt::print(stderr, "seqgpu: {}\n", error.what());
    return kInternal;
  }
}
