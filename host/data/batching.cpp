#include "seqgpu/data/batching.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "data/random.hpp"

namespace seqgpu::data {

namespace {

// Streams of random numbers that must not follow each other's path.
enum Purpose : std::uint64_t { kSentenceOrder = 1, kBatchOrder = 2, kWordDropout = 3 };

Random stream(const BatchOptions& options, std::uint64_t epoch, Purpose purpose) {
  return Random(mix(mix(options.seed, epoch), purpose));
}

void check(const BatchOptions& options) {
  const auto fail = [](const char* argument, const std::string& detail) {
    throw Error(ErrorCode::invalid_argument, "make_batches", argument, detail);
  };
  const auto positive = [&](const char* argument, int value) {
    if (value < 1) fail(argument, "must be at least 1, got " + std::to_string(value));
  };
  positive("batch_size", options.batch_size);
  positive("length_multiple", options.length_multiple);
  positive("trigram_multiple", options.trigram_multiple);
  if (!(options.word_dropout >= 0.f && options.word_dropout <= 1.f)) {
    fail("word_dropout", "must be from 0 to 1, got " + std::to_string(options.word_dropout));
  }
}

std::int64_t round_up(std::size_t value, int multiple) {
  const auto m = static_cast<std::int64_t>(multiple);
  return std::max<std::int64_t>(1, (static_cast<std::int64_t>(value) + m - 1) / m) * m;
}

class Batcher {
 public:
  Batcher(std::span<const Sentence> sentences, const Vocabulary& vocabulary, const Labels& labels,
          const TrigramFeatures* trigrams, const BatchOptions& options)
      : sentences_(sentences), vocabulary_(vocabulary), labels_(labels), trigrams_(trigrams), options_(options) {}

  std::vector<SequenceBatch> run(std::uint64_t epoch) {
    dropout_key_ = mix(mix(options_.seed, epoch), kWordDropout);
    const std::vector<int> order = sentence_order(epoch);
    std::vector<SequenceBatch> batches;
    const auto size = static_cast<std::size_t>(options_.batch_size);
    for (std::size_t begin = 0; begin < order.size(); begin += size) {
      std::vector<int> columns(order.begin() + static_cast<std::ptrdiff_t>(begin),
                               order.begin() + static_cast<std::ptrdiff_t>(std::min(begin + size, order.size())));
      if (options_.full_batches) columns.resize(size, -1);
      batches.push_back(batch(std::move(columns)));
    }
    if (options_.shuffle) {
      Random random = stream(options_, epoch, kBatchOrder);
      shuffle(batches, random);
    }
    return batches;
  }

 private:
  std::vector<int> sentence_order(std::uint64_t epoch) const {
    std::vector<int> order(sentences_.size());
    std::iota(order.begin(), order.end(), 0);
    if (options_.shuffle) {
      Random random = stream(options_, epoch, kSentenceOrder);
      shuffle(order, random);
    }
    const auto bucket = [&](int i) { return round_up(tokens(i).size(), options_.length_multiple); };
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return bucket(a) < bucket(b); });
    return order;
  }

  const std::vector<Token>& tokens(int index) const {
    static const std::vector<Token> kNone;
    return index < 0 ? kNone : sentences_[static_cast<std::size_t>(index)].tokens;
  }

  SequenceBatch batch(std::vector<int> columns) const {
    std::size_t longest = 0;
    for (const int index : columns) longest = std::max(longest, tokens(index).size());
    const std::int64_t steps = round_up(longest, options_.length_multiple);
    const auto n = static_cast<std::int64_t>(columns.size());
    SequenceBatch out;
    out.words = HostTensor(DType::i32, {steps, n});
    out.tags = HostTensor(DType::i32, {steps, n});
    out.lengths = HostTensor(DType::i32, {n});
    const auto words = out.words.view<std::int32_t>();
    const auto tags = out.tags.view<std::int32_t>();
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const auto& sequence = tokens(columns[column]);
      out.lengths.view<std::int32_t>()[column] = static_cast<std::int32_t>(sequence.size());
      for (std::size_t t = 0; t < sequence.size(); ++t) {
        const std::size_t at = t * columns.size() + column;
        words[at] = drops_out(columns[column], t) ? Vocabulary::kUnknown : vocabulary_.id(sequence[t].word);
        tags[at] = tag_id(sequence[t].tag);
      }
    }
    if (trigrams_) out.trigrams = trigram_tensor(columns, steps);
    out.sentence_index = std::move(columns);
    return out;
  }

  HostTensor trigram_tensor(const std::vector<int>& columns, std::int64_t steps) const {
    std::vector<std::vector<std::int32_t>> ids(static_cast<std::size_t>(steps) * columns.size());  // [T, N]
    std::size_t most = 0;
    for (std::size_t column = 0; column < columns.size(); ++column) {
      const auto& sequence = tokens(columns[column]);
      for (std::size_t t = 0; t < sequence.size(); ++t) {
        auto& cell = ids[t * columns.size() + column];
        cell = trigrams_->ids(sequence[t].word);
        most = std::max(most, cell.size());
      }
    }
    const std::int64_t width = round_up(most, options_.trigram_multiple);
    HostTensor out(DType::i32, {steps, static_cast<std::int64_t>(columns.size()), width});
    const auto view = out.view<std::int32_t>();
    std::fill(view.begin(), view.end(), options_.trigram_padding);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      std::copy(ids[i].begin(), ids[i].end(),
                view.begin() + static_cast<std::ptrdiff_t>(i * static_cast<std::size_t>(width)));
    }
    return out;
  }

  // Keyed by the place in the data, not drawn in turn: a word's fate does not change with the batch size.
  bool drops_out(int sentence, std::size_t t) const {
    if (options_.word_dropout == 0.f) return false;
    const std::uint64_t place = mix(static_cast<std::uint64_t>(sentence), t);
    return unit(mix(dropout_key_, place)) < static_cast<double>(options_.word_dropout);
  }

  std::int32_t tag_id(const std::string& tag) const {
    return options_.unknown_tags_as_outside && !labels_.contains(tag) ? 0 : labels_.id(tag);
  }

  std::span<const Sentence> sentences_;
  const Vocabulary& vocabulary_;
  const Labels& labels_;
  const TrigramFeatures* trigrams_;
  BatchOptions options_;
  std::uint64_t dropout_key_ = 0;
};

}  // namespace

std::vector<SequenceBatch> make_batches(std::span<const Sentence> sentences, const Vocabulary& vocabulary,
                                        const Labels& labels, const TrigramFeatures* trigrams,
                                        const BatchOptions& options, std::uint64_t epoch) {
  check(options);
  if (sentences.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw Error(ErrorCode::invalid_argument, "make_batches", "sentences", "must be fewer than 2^31");
  }
  return Batcher(sentences, vocabulary, labels, trigrams, options).run(epoch);
}

}  // namespace seqgpu::data
