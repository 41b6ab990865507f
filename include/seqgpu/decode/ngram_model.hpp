#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "seqgpu/export.hpp"

namespace seqgpu::decode {

/// A back-off n-gram language model, read from an ARPA file as SRILM, KenLM and others write it. Words are whatever the
/// file's units are: words, or characters. Reading is safe on any bytes; a model is immutable and may be shared.
///
/// p(w | h) is the n-gram's own probability where the file lists "h w", else bow(h) * p(w | h without its first word),
/// where bow(h) is 1 for an h that is not listed (Katz 1987; the ARPA format's definition, no approximation).
class SEQGPU_API NgramModel {
 public:
  /// The words that the next one depends on, oldest first: at most order() - 1.
  using History = std::vector<std::int32_t>;

  /// @param name  stands for the file in messages
  /// @throws Error{invalid_file} at "name:line": no \data\, counts that are missing, repeated, out of order or not
  ///         what the section holds, a malformed number, a probability above 1, the wrong number of words, a word that
  ///         is no unigram, a duplicate, an n-gram whose context is not listed or has no back-off weight, a file that
  ///         ends before \end\, a NUL byte. A back-off weight may be left out where nothing extends the n-gram.
  static NgramModel parse(std::string_view text, const std::string& name);
  /// parse() over a file. @throws also Error{io_failure} where it cannot be read
  static NgramModel read(const std::string& path);

  int order() const;
  std::int64_t size(int n) const;  ///< n-grams of n words, 1 <= n <= order()
  /// The word's id; that of <unk> where it is not a unigram, or -1 where the file has no <unk>.
  std::int32_t id(std::string_view word) const;
  bool contains(std::string_view word) const;

  /// The history at the start of a sentence: <s>, or nothing where the file has no <s>.
  History start() const;
  /// ln p(word | history); kUnlisted for the id -1.
  /// @throws Error{invalid_argument} for another id that is not of this model
  double log_prob(const History& history, std::int32_t word) const;
  /// log_prob(), and the history after the word; that of -1 is empty.
  double score(History& history, std::int32_t word) const;
  /// ln p(</s> | history), 0 where the file has no </s>.
  double finish(const History& history) const;
  /// ln of a whole sentence: start(), each word, finish(). Words are separated by spaces.
  double sentence(std::string_view words) const;

  static constexpr double kUnlisted = -230.25850929940458;  ///< ln(10^-100): what a word has in a file without <unk>

 private:
  struct Tables;
  explicit NgramModel(std::shared_ptr<const Tables> tables);
  std::shared_ptr<const Tables> tables_;
};

}  // namespace seqgpu::decode
