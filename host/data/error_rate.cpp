#include "seqgpu/data/error_rate.hpp"

#include <algorithm>
#include <limits>

namespace seqgpu::data {

namespace {

constexpr std::int64_t kSubstitutionCost = 4, kDeletionCost = 3, kInsertionCost = 3;

// The last step of a cheapest alignment of the first r reference and first h hypothesis tokens, [R + 1, H + 1].
class Steps {
 public:
  Steps(std::size_t references, std::size_t hypotheses)
      : width_(hypotheses + 1), steps_((references + 1) * width_, AlignedAs::correct) {}
  AlignedAs& at(std::size_t r, std::size_t h) { return steps_[r * width_ + h]; }

 private:
  std::size_t width_;
  std::vector<AlignedAs> steps_;
};

void check_size(std::size_t references, std::size_t hypotheses) {
  constexpr std::uint64_t kMost = 1ull << 31;
  const std::uint64_t r = references + 1, h = hypotheses + 1;
  if (r > kMost || h > kMost / r) {
    throw Error(ErrorCode::invalid_argument, "align_tokens", "hypothesis",
                "of " + std::to_string(hypotheses) + " tokens and a reference of " + std::to_string(references) +
                    " make more than 2^31 pairs; align them piece by piece");
  }
}

// cost(r, h) = min{cost(r-1, h-1) + (0 or 4), cost(r, h-1) + 3, cost(r-1, h) + 3}; the first of equals is the step.
Steps cheapest_steps(std::span<const std::string> reference, std::span<const std::string> hypothesis) {
  const std::size_t width = hypothesis.size() + 1;
  Steps steps(reference.size(), hypothesis.size());
  std::vector<std::int64_t> above(width), row(width);
  for (std::size_t h = 1; h < width; ++h) {
    row[h] = row[h - 1] + kInsertionCost;
    steps.at(0, h) = AlignedAs::insertion;
  }
  for (std::size_t r = 1; r <= reference.size(); ++r) {
    above.swap(row);
    row[0] = above[0] + kDeletionCost;
    steps.at(r, 0) = AlignedAs::deletion;
    for (std::size_t h = 1; h < width; ++h) {
      const bool same = reference[r - 1] == hypothesis[h - 1];
      const std::int64_t pair = above[h - 1] + (same ? 0 : kSubstitutionCost);
      const std::int64_t insertion = row[h - 1] + kInsertionCost, deletion = above[h] + kDeletionCost;
      row[h] = std::min({pair, insertion, deletion});
      steps.at(r, h) = row[h] == pair        ? (same ? AlignedAs::correct : AlignedAs::substitution)
                       : row[h] == insertion ? AlignedAs::insertion
                                             : AlignedAs::deletion;
    }
  }
  return steps;
}

}  // namespace

double ErrorCounts::rate() const {
  if (reference == 0) return errors() == 0 ? 0 : std::numeric_limits<double>::infinity();
  return static_cast<double>(errors()) / static_cast<double>(reference);
}

ErrorCounts& ErrorCounts::operator+=(const ErrorCounts& other) {
  substitutions += other.substitutions;
  deletions += other.deletions;
  insertions += other.insertions;
  reference += other.reference;
  return *this;
}

const char* to_string(AlignedAs kind) {
  switch (kind) {
    case AlignedAs::correct: return "correct";
    case AlignedAs::substitution: return "substitution";
    case AlignedAs::deletion: return "deletion";
    case AlignedAs::insertion: return "insertion";
  }
  return "unknown";
}

ErrorCounts align_tokens(std::span<const std::string> reference, std::span<const std::string> hypothesis,
                         std::vector<AlignedPair>* alignment) {
  check_size(reference.size(), hypothesis.size());
  Steps steps = cheapest_steps(reference, hypothesis);
  ErrorCounts counts{.reference = static_cast<std::int64_t>(reference.size())};
  std::vector<AlignedPair> columns;  // last first
  for (std::size_t r = reference.size(), h = hypothesis.size(); r > 0 || h > 0;) {
    AlignedPair pair{steps.at(r, h)};
    counts.substitutions += pair.kind == AlignedAs::substitution ? 1 : 0;
    counts.deletions += pair.kind == AlignedAs::deletion ? 1 : 0;
    counts.insertions += pair.kind == AlignedAs::insertion ? 1 : 0;
    if (pair.kind != AlignedAs::insertion) pair.reference = static_cast<std::int64_t>(--r);
    if (pair.kind != AlignedAs::deletion) pair.hypothesis = static_cast<std::int64_t>(--h);
    if (alignment) columns.push_back(pair);
  }
  if (alignment) alignment->assign(columns.rbegin(), columns.rend());
  return counts;
}

ErrorCounts transcript_errors(std::string_view reference, std::string_view hypothesis, TranscriptUnit unit) {
  return align_tokens(split_transcript(reference, unit), split_transcript(hypothesis, unit));
}

}  // namespace seqgpu::data
