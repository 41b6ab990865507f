#include "seqgpu/data/manifest.hpp"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>

#include "data/bytes.hpp"
#include "data/utf8.hpp"

namespace seqgpu::data {

namespace {

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

struct Fault {
  std::size_t offset;  // in the line
  std::string detail;
};

// What no line may hold, the tab apart.
std::optional<Fault> check_bytes(std::string_view line) {
  for (std::size_t pos = 0; pos < line.size();) {
    const auto byte = static_cast<unsigned char>(line[pos]);
    if (byte == 0) return Fault{pos, "NUL byte; is this a text file?"};
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return Fault{pos, "control character"};
    const std::size_t length = utf8_length(line, pos);
    if (length == 0) return Fault{pos, "byte that is not UTF-8; convert the file"};
    pos += length;
  }
  return std::nullopt;
}

std::string single_spaced(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c != ' ' || (!out.empty() && out.back() != ' ')) out += c;
  }
  if (!out.empty() && out.back() == ' ') out.pop_back();
  return out;
}

class Parser {
 public:
  Parser(std::string name, std::string folder, const ManifestOptions& options)
      : folder_(std::move(folder)), options_(options) {
    manifest_.name = std::move(name);
  }

  Manifest run(std::string_view text) {
    if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
    while (!text.empty()) {
      if (line_ == std::numeric_limits<int>::max()) {
        throw Error(ErrorCode::invalid_file, "read_manifest", manifest_.name, "too long");
      }
      ++line_;
      const std::size_t end = std::min(text.find('\n'), text.size());
      std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line.ends_with('\r')) line.remove_suffix(1);
      take(line);
    }
    return std::move(manifest_);
  }

 private:
  void take(std::string_view line) {
    if (line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#') return;
    if (const auto fault = check_bytes(line)) return fail(*fault);
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos)
      return fail({line.size(), "expected a path, a tab and a transcript, found no tab"});
    if (line.find_first_not_of(' ') == tab) return fail({0, "empty path"});
    const std::size_t second = line.find('\t', tab + 1);
    if (second != std::string_view::npos) return fail({second, "second tab; the transcript must not hold one"});
    const std::string path(line.substr(0, tab));
    const bool relative = !folder_.empty() && std::filesystem::path(path).is_relative();
    manifest_.utterances.push_back({relative ? (std::filesystem::path(folder_) / path).string() : path,
                                    single_spaced(line.substr(tab + 1)), line_});
  }

  void fail(const Fault& fault) {
    const Error error(ErrorCode::invalid_file, "read_manifest",
                      manifest_.name + ":" + std::to_string(line_) + ":" + std::to_string(fault.offset + 1),
                      fault.detail);
    if (manifest_.bad_lines >= options_.skip_bad) throw error;
    if (manifest_.bad_lines++ == 0) manifest_.first_bad = error.what();
  }

  std::string folder_;
  ManifestOptions options_;
  Manifest manifest_;
  int line_ = 0;
};

void check(const Utterance& utterance, std::size_t index) {
  const auto fail = [&](const char* member, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, "write_manifest", "utterances[" + std::to_string(index) + "]." + member,
                detail);
  };
  for (const auto* text : {&utterance.path, &utterance.transcript}) {
    const char* member = text == &utterance.path ? "path" : "transcript";
    if (const auto fault = check_bytes(*text)) fail(member, "must not hold a " + fault->detail);
    if (text->find('\t') != std::string::npos) fail(member, "must not hold a tab");
  }
  if (utterance.path.find_first_not_of(' ') == std::string::npos) fail("path", "must not be empty");
  if (utterance.path.front() == '#') fail("path", "must not begin with #, which begins a comment");
}

}  // namespace

Manifest parse_manifest(std::string_view text, const std::string& name, const std::string& folder,
                        const ManifestOptions& options) {
  return Parser(name, folder, options).run(text);
}

Manifest read_manifest(const std::string& path, const ManifestOptions& options) {
  return parse_manifest(read_bytes(path, "read_manifest"), path, std::filesystem::path(path).parent_path().string(),
                        options);
}

std::string format_manifest(std::span<const Utterance> utterances) {
  std::string text;
  for (std::size_t i = 0; i < utterances.size(); ++i) {
    check(utterances[i], i);
    text += utterances[i].path + '\t' + single_spaced(utterances[i].transcript) + '\n';
  }
  // A first path that begins with the mark would lose it to the reader, which drops one.
  if (text.starts_with(kByteOrderMark)) text.insert(0, kByteOrderMark);
  return text;
}

void write_manifest(const std::string& path, std::span<const Utterance> utterances) {
  write_bytes(path, format_manifest(utterances), "write_manifest");
}

}  // namespace seqgpu::data
