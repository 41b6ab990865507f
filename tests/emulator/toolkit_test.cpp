#include "emulator/toolkit.hpp"

#include <cctype>
#include <fstream>
#include <set>
#include <sstream>

namespace seqgpu::tests {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Names of one of these beginnings that stand right before `follower`, or before `follower` and a digit or a sign.
std::set<std::string> names_before(const std::string& text, const std::string& follower, bool number) {
  const auto part = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  std::set<std::string> result;
  for (std::size_t at = text.find(follower); at != std::string::npos; at = text.find(follower, at + 1)) {
    const std::size_t next = at + follower.size();
    if (number && (next == text.size() || (text[next] != '-' && !part(text[next])))) continue;
    std::size_t start = at;
    while (start > 0 && part(text[start - 1])) --start;
    const std::string name = text.substr(start, at - start);
    for (const char* beginning : {"cuda", "cublas", "CUBLAS_", "CUDA_R_"})
      if (name.rfind(beginning, 0) == 0) result.insert(name);
  }
  return result;
}

// Every function, enumerator and flag of the emulator's headers has the type or the value that the toolkit gives it.
TEST(EmulatorConversion, HeadersAgreeWithTheToolkit) {
  const std::filesystem::path toolkit = toolkit_headers();
  if (toolkit.empty()) GTEST_SKIP() << "no CUDA toolkit found";
  if (!exists(toolkit / "cublas_v2.h")) GTEST_SKIP() << "the CUDA toolkit has no cuBLAS";
  const std::string headers =
      text_of(emulator_headers() / "cuda_runtime_api.h") + text_of(emulator_headers() / "cublas_v2.h");
  std::set<std::string> functions = names_before(headers, "(", false);
  for (const char* overloaded : {"cublasGemmEx", "cublasGemmStridedBatchedEx"}) functions.erase(overloaded);
  std::set<std::string> values = names_before(headers, " = ", true);
  values.merge(names_before(headers, " 0x", true));
  ASSERT_GT(functions.size(), 50u);
  ASSERT_GT(values.size(), 100u);

  std::string source =
      "#include <cublas_v2.h>\n#include <cuda_runtime_api.h>\n#include <cstdio>\n#include <typeinfo>\n";
  source += "int main() {\n";
  for (const std::string& name : functions)
    source += "  std::printf(\"%s %s\\n\", \"" + name + "\", typeid(&" + name + ").name());\n";
  for (const std::string& name : values)
    source += "  std::printf(\"%s %lld\\n\", \"" + name + "\", (long long)" + name + ");\n";
  source += "  std::printf(\"%zu %zu\\n\", sizeof(cudaLaunchConfig_t), sizeof(cudaLaunchAttribute));\n}\n";
  EXPECT_EQ(run_against(emulator_headers(), source), run_against(toolkit, source));
}

}  // namespace
}  // namespace seqgpu::tests
