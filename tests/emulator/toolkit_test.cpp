#include "emulator/toolkit.hpp"

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

namespace seqgpu::tests {
namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::set<std::string> matches(const std::string& text, const char* pattern) {
  const std::regex regex(pattern, std::regex::ECMAScript | std::regex::multiline);
  std::set<std::string> result;
  for (std::sregex_iterator match(text.begin(), text.end(), regex), end; match != end; ++match)
    result.insert((*match)[1]);
  return result;
}

// Every function, enumerator and flag of the emulator's headers has the type or the value that the toolkit gives it.
TEST(EmulatorConversion, HeadersAgreeWithTheToolkit) {
  const std::filesystem::path toolkit = toolkit_headers();
  if (toolkit.empty()) GTEST_SKIP() << "no CUDA toolkit found";
  if (!exists(toolkit / "cublas_v2.h")) GTEST_SKIP() << "the CUDA toolkit has no cuBLAS";
  const std::string headers =
      text_of(emulator_headers() / "cuda_runtime_api.h") + text_of(emulator_headers() / "cublas_v2.h");
  std::set<std::string> functions = matches(headers, R"(\b((?:cuda|cublas)[A-Z]\w*)\()");
  for (const char* overloaded : {"cublasGemmEx", "cublasGemmStridedBatchedEx"}) functions.erase(overloaded);
  std::set<std::string> values = matches(headers, R"(\b((?:cuda|CUBLAS_|CUDA_R_)\w+) = -?\d+)");
  values.merge(matches(headers, R"(#define (cuda\w+) 0x)"));
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
