#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "seqgpu/data/iob.hpp"

namespace seqgpu::data {

struct VocabularyOptions {
  std::int64_t min_count = 1;   ///< rarer words become <unk>
  bool digits_to_zero = false;  ///< "1110" and "2002" both become "0000"
  bool lower_case = false;      ///< ASCII letters only; other letters keep their case
  bool operator==(const VocabularyOptions&) const = default;
};

/// Words and their ids. Id 0 is <unk>; the rest in order of falling frequency, then of bytes.
class SEQGPU_API Vocabulary {
 public:
  static constexpr std::int32_t kUnknown = 0;

  /// Only <unk>.
  Vocabulary();
  static Vocabulary build(std::span<const Sentence> sentences, const VocabularyOptions& options = {});

  /// As the word is looked up: digits and case changed as the options say.
  std::string normalise(std::string_view word) const;
  /// kUnknown where the normalised word is not in the list.
  std::int32_t id(std::string_view word) const;
  /// @throws Error{invalid_argument} unless 0 <= id < size()
  const std::string& word(std::int32_t id) const;
  std::int32_t size() const { return static_cast<std::int32_t>(words_.size()); }
  const VocabularyOptions& options() const { return options_; }

  /// Text that from_string() reads back: a header, then one word a line, with \\ \n \r escaped.
  std::string to_string() const;
  /// @throws Error{invalid_file} naming the line
  static Vocabulary from_string(std::string_view text);

 private:
  VocabularyOptions options_;
  std::vector<std::string> words_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

/// Tags and their ids. "O" is 0, which is also the padding of batches; the rest in order of bytes.
class SEQGPU_API Labels {
 public:
  Labels();
  static Labels build(std::span<const Sentence> sentences);

  bool contains(std::string_view tag) const;
  /// @throws Error{invalid_argument} for a tag that is not in the list
  std::int32_t id(std::string_view tag) const;
  /// @throws Error{invalid_argument} unless 0 <= id < size()
  const std::string& tag(std::int32_t id) const;
  std::int32_t size() const { return static_cast<std::int32_t>(tags_.size()); }

  std::string to_string() const;
  /// @throws Error{invalid_file} naming the line
  static Labels from_string(std::string_view text);

 private:
  std::vector<std::string> tags_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

/// The letter trigrams of "#word#", in order, repeats included: "abc" gives #ab abc bc#. A letter is one UTF-8 code
/// point; a byte that is not UTF-8 counts as a letter.
SEQGPU_API std::vector<std::string> letter_trigrams(std::string_view word);

/// Letter trigrams as ids (word hashing: Huang et al. 2013). Id 0 is padding and stands for no trigram.
class SEQGPU_API TrigramFeatures {
 public:
  static constexpr std::int32_t kPadding = 0;

  /// Ids 1 to buckets: 1 + FNV-1a(trigram) mod buckets. @throws Error{invalid_argument} unless buckets >= 1
  static TrigramFeatures hashed(std::int32_t buckets);
  /// Id 1 is any unlisted trigram; from 2 on the trigrams that occur at least min_count times, most frequent first.
  static TrigramFeatures listed(std::span<const Sentence> sentences, std::int64_t min_count = 1);

  std::vector<std::int32_t> ids(std::string_view word) const;
  /// Rows that a table needs, padding included.
  std::int32_t size() const;

  std::string to_string() const;
  /// @throws Error{invalid_file} naming the line
  static TrigramFeatures from_string(std::string_view text);

 private:
  std::int32_t buckets_ = 0;  ///< 0: listed
  std::vector<std::string> trigrams_;
  std::unordered_map<std::string, std::int32_t> ids_;
};

/// "Oslo-22" -> "Xxxx-dd": X upper, x lower (and every non-ASCII letter), d digit, the rest as it is.
/// @param compact  runs become one: "Xx-d"
SEQGPU_API std::string word_shape(std::string_view word, bool compact = false);
/// The first or last `letters` code points, or the whole word where it is shorter.
SEQGPU_API std::string word_prefix(std::string_view word, int letters);
SEQGPU_API std::string word_suffix(std::string_view word, int letters);

}  // namespace seqgpu::data
