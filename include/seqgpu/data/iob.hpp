#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "seqgpu/error.hpp"
#include "seqgpu/export.hpp"

namespace seqgpu::data {

struct Token {
  std::string word;
  std::string tag;  ///< "O", or a prefix of B I E S L U, a hyphen and a type: "B-city"
  bool operator==(const Token&) const = default;
};

struct Sentence {
  std::vector<Token> tokens;
  int first_line = 0;  ///< 1-based line of the first token in its file; 0: not from a file
};

/// iob1: B only where a chunk follows one of its own type; iob2: B on each first token; iobes: also E on the last token
/// and S on a chunk of one (BILOU's L and U are read as E and S).
enum class TagScheme : std::uint8_t { iob1, iob2, iobes };

/// "iob1", ...
SEQGPU_API const char* to_string(TagScheme scheme);

struct IobOptions {
  std::int64_t skip_bad = 0;  ///< up to this many malformed lines are counted, and their sentences left out
};

struct IobFile {
  std::vector<Sentence> sentences;
  std::int64_t bad_lines = 0;
  std::string first_bad;  ///< the message of the first malformed line; empty: none
};

/// Reads CoNLL columns: separated by spaces or tabs, the first is the word, the last the tag; blank lines, and lines
/// whose word is -DOCSTART- or -X-, end a sentence. Lines without a tab that read "# key = value" are comments. CRLF
/// and a UTF-8 byte order mark are accepted.
/// @param name  stands for the file in messages
/// @throws Error{invalid_file} at "name:line:column" (1-based, columns in bytes after a byte order mark): one column
///         only, an unknown tag prefix, an empty type, invalid UTF-8, a NUL byte; beyond `skip_bad` such lines
SEQGPU_API IobFile parse_iob(std::string_view text, const std::string& name, const IobOptions& options);
SEQGPU_API std::vector<Sentence> parse_iob(std::string_view text, const std::string& name);

/// parse_iob over a file. @throws also Error{io_failure} where it cannot be read
SEQGPU_API IobFile read_iob(const std::string& path, const IobOptions& options);
SEQGPU_API std::vector<Sentence> read_iob(const std::string& path);

/// `word<TAB>tag` lines and a blank line after each sentence that has tokens; parse_iob gives the tokens back.
/// @throws Error{invalid_argument} for a word or tag that the format cannot hold (empty, white space, -DOCSTART-, ...)
SEQGPU_API std::string format_iob(std::span<const Sentence> sentences);
/// @throws also Error{io_failure} where the file cannot be written
SEQGPU_API void write_iob(const std::string& path, std::span<const Sentence> sentences);

/// iobes where E, S, L or U occurs; else iob1 where an I opens a chunk; else iob2.
SEQGPU_API TagScheme detect_scheme(std::span<const Sentence> sentences);

/// The same chunks in another scheme. Reads leniently, as conlleval does: an I or E that continues nothing opens a
/// chunk. In iobes, E and S also close one.
/// @throws Error{invalid_argument} for a tag that is none
SEQGPU_API std::vector<std::string> convert_tags(std::span<const std::string> tags, TagScheme from, TagScheme to);
SEQGPU_API std::vector<Sentence> convert_scheme(std::span<const Sentence> sentences, TagScheme from, TagScheme to);

/// The columns of a sentence.
SEQGPU_API std::vector<std::string> words_of(const Sentence& sentence);
SEQGPU_API std::vector<std::string> tags_of(const Sentence& sentence);

}  // namespace seqgpu::data
