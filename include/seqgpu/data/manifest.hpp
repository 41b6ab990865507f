#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "seqgpu/error.hpp"
#include "seqgpu/export.hpp"

namespace seqgpu::data {

struct Utterance {
  std::string path;        ///< of the sound file
  std::string transcript;  ///< words set apart by single spaces; may be empty
  int line = 0;            ///< 1-based line in the manifest; 0: not from a file
};

struct ManifestOptions {
  std::int64_t skip_bad = 0;  ///< up to this many malformed lines are counted and left out
};

struct Manifest {
  std::string name;  ///< what messages call the file
  std::vector<Utterance> utterances;
  std::int64_t bad_lines = 0;
  std::string first_bad;  ///< the message of the first malformed line; empty: none
};

/// Reads `path<TAB>transcript` lines. Blank lines, and lines that begin with #, are left out. CRLF and a UTF-8 byte
/// order mark are accepted; runs of spaces in a transcript become one, those at its ends go.
/// @param name    stands for the file in messages
/// @param folder  goes in front of relative paths; empty: they stay as they are
/// @throws Error{invalid_file} at "name:line:column" (1-based, columns in bytes): no tab, a second tab, an empty path,
///         invalid UTF-8, a control character; beyond `skip_bad` such lines
SEQGPU_API Manifest parse_manifest(std::string_view text, const std::string& name, const std::string& folder = "",
                                   const ManifestOptions& options = {});
/// parse_manifest over a file; relative paths start from its folder. @throws also Error{io_failure}
SEQGPU_API Manifest read_manifest(const std::string& path, const ManifestOptions& options = {});

/// One line for each utterance, the paths as they are; parse_manifest gives paths and transcripts back.
/// @throws Error{invalid_argument} for a path or transcript that the format cannot hold
SEQGPU_API std::string format_manifest(std::span<const Utterance> utterances);
/// @throws also Error{io_failure} where the file cannot be written
SEQGPU_API void write_manifest(const std::string& path, std::span<const Utterance> utterances);

/// characters: UTF-8 code points, the space among them; words: what spaces set apart.
enum class TranscriptUnit : std::uint8_t { characters, words };

/// "characters", "words"
SEQGPU_API const char* to_string(TranscriptUnit unit);

/// The units of a transcript, in order. Words are what white space sets apart; among characters a run of white space is
/// one space, at the ends none, and a byte that is no UTF-8 stands for itself.
SEQGPU_API std::vector<std::string> split_transcript(std::string_view transcript, TranscriptUnit unit);

/// The units of transcripts and their ids. Id 0 is the blank of CTC, which no transcript holds; the rest in order of
/// bytes.
class SEQGPU_API SymbolTable {
 public:
  static constexpr std::int32_t kBlank = 0;

  /// Only the blank.
  explicit SymbolTable(TranscriptUnit unit = TranscriptUnit::characters);
  static SymbolTable build(std::span<const Utterance> utterances, TranscriptUnit unit);

  TranscriptUnit unit() const { return unit_; }
  /// K, with the blank.
  std::int32_t size() const { return static_cast<std::int32_t>(symbols_.size()); }
  /// "<blank>" for kBlank. @throws Error{invalid_argument} unless 0 <= id < size()
  const std::string& symbol(std::int32_t id) const;

  /// @throws Error{invalid_argument} naming the first unit that is not in the table
  std::vector<std::int32_t> encode(std::string_view transcript) const;
  /// The same, but units that are not in the table go to the end of `unknown`, in order, and have no label.
  std::vector<std::int32_t> encode(std::string_view transcript, std::vector<std::string>& unknown) const;
  /// The transcript of the labels; blanks say nothing. @throws Error{invalid_argument} as symbol()
  std::string decode(std::span<const std::int32_t> labels) const;

  /// Text that from_string() reads back: a header, then one symbol a line.
  std::string to_string() const;
  /// @throws Error{invalid_file} naming the line
  static SymbolTable from_string(std::string_view text);

 private:
  void add(std::string symbol);

  TranscriptUnit unit_;
  std::vector<std::string> symbols_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

}  // namespace seqgpu::data
