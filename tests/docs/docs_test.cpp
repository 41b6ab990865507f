#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

// What the documents show is what the tree holds. Runs in the root of the sources.
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

const char* const kDocuments[] = {
    "README.md",        "CHANGELOG.md",          "CONTRIBUTING.md",    "docs/architecture.md", "docs/notation.md",
    "docs/numerics.md", "docs/adding_a_cell.md", "docs/cuda.md",       "docs/gpu_check.md",    "docs/ctc.md",
    "docs/decoding.md", "docs/features.md",      "docs/benchmarks.md", "docs/recogniser.md",   "docs/comparing.md",
};

TEST(Docs, ReadmeShowsTheProgramThatIsBuilt) {
  EXPECT_NE(read("README.md").find("```cpp\n" + read("examples/readme.cpp") + "```\n"), std::string::npos)
      << "README.md and examples/readme.cpp differ";
}

TEST(Docs, AddingACellShowsTheCellThatIsTested) {
  EXPECT_NE(
      read("docs/adding_a_cell.md").find("```cpp\n" + read("tests/toy_cell/kernels/cells/mgu_cell.hpp") + "```\n"),
      std::string::npos)
      << "docs/adding_a_cell.md and tests/toy_cell/kernels/cells/mgu_cell.hpp differ";
}

TEST(Docs, LinksLead) {
  const std::regex link(R"(\[[^\]&]+\]\(([^)#:\s]+)(#[^)]*)?\))");
  for (const char* document : kDocuments) {
    const std::string text = read(document);
    for (std::sregex_iterator i(text.begin(), text.end(), link), end; i != end; ++i) {
      const fs::path target = fs::path(document).parent_path() / (*i)[1].str();
      EXPECT_TRUE(fs::exists(target)) << document << " links to " << target;
    }
  }
}

TEST(Docs, NamedFilesExist) {
  const std::regex name("`((include|host|kernels|tests|docs|examples|scripts|cmake|tools|fuzz)/[A-Za-z0-9_./-]*)`");
  for (const char* document : kDocuments) {
    const std::string text = read(document);
    for (std::sregex_iterator i(text.begin(), text.end(), name), end; i != end; ++i) {
      EXPECT_TRUE(fs::exists((*i)[1].str())) << document << " names " << (*i)[1];
    }
  }
}

}  // namespace
