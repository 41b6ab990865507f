#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string>

// Small programs compiled against the emulator's headers and against the toolkit's: both must print the same.

namespace seqgpu::tests {

/// What a command prints; nothing when it fails.
inline std::string output_of(const std::string& command) {
  std::string text;
  if (std::FILE* pipe = popen(command.c_str(), "r")) {
    std::array<char, 256> buffer;
    while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) text += buffer.data();
    if (pclose(pipe) != 0) text.clear();
  }
  return text;
}

/// Where the toolkit's headers are; empty when there are none.
inline std::filesystem::path toolkit_headers() {
  const auto found = [](const std::filesystem::path& folder) { return exists(folder / "cuda_bf16.h"); };
  for (const char* name : {"CUDA_HOME", "CUDA_PATH"})
    if (const char* home = std::getenv(name))
      if (const auto path = std::filesystem::path(home) / "include"; found(path)) return path;
  const std::filesystem::path usual = "/usr/local/cuda/include";
  return found(usual) ? usual : std::filesystem::path{};
}

/// Compiles `source` with the C++ compiler ($CXX, else c++) against one folder of headers, and runs it.
inline std::string run_against(const std::filesystem::path& headers, const std::string& source) {
  const auto folder = std::filesystem::temp_directory_path() / ("seqgpu_toolkit_" + std::to_string(getpid()));
  create_directories(folder);
  const std::string file = folder / "program.cpp", program = folder / "program";
  if (std::FILE* out = std::fopen(file.c_str(), "w")) {
    std::fputs(source.c_str(), out);
    std::fclose(out);
  }
  const char* compiler = std::getenv("CXX");
  const std::string build = std::string(compiler != nullptr ? compiler : "c++") + " -std=c++20 -O1 -w -I '" +
                            headers.string() + "' '" + file + "' -o '" + program + "' 2>&1 && echo built";
  const std::string messages = output_of(build);
  EXPECT_NE(messages.find("built"), std::string::npos) << headers << "\n" << messages;
  std::string result = output_of("'" + program + "'");
  remove_all(folder);
  return result;
}

/// The emulator's own headers.
inline std::filesystem::path emulator_headers() {
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path() / "emulator" / "include";
}

}  // namespace seqgpu::tests
