#include "tagger.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "tools/seqgpu/network.hpp"

namespace seqgpu::tool {
namespace {

constexpr int kLengthMultiple = 4;   // steps: few shapes, little padding
constexpr int kTrigramMultiple = 4;  // trigrams of a word
constexpr int kLabelBatch = 32;

// Columns of trigram padding, negated: what takes the padding's row out of a sum again.
HostTensor negated_padding(const HostTensor& trigrams) {
  const std::int64_t steps = trigrams.shape[0], columns = trigrams.shape[1], width = trigrams.shape[2];
  HostTensor counts(DType::f32, {steps, columns, 1});
  const auto ids = trigrams.view<std::int32_t>();
  const auto out = counts.view<float>();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const auto word = ids.subspan(i * static_cast<std::size_t>(width), static_cast<std::size_t>(width));
    out[i] = -static_cast<float>(std::count(word.begin(), word.end(), data::TrigramFeatures::kPadding));
  }
  return counts;
}

}  // namespace

Tagger::Tagger(const Device& device, const Config& config, Lexicon lexicon)
    : device_(device),
      config_(config),
      lexicon_(std::move(lexicon)),
      parameters_(device, static_cast<std::uint64_t>(config.seed)) {
  words_.emplace(parameters_, "words", nn::EmbeddingOptions{lexicon_.vocabulary.size(), config.embedding, 0.2f});
  std::int64_t width = config.embedding;
  if (lexicon_.trigrams) {
    trigrams_.emplace(parameters_, "trigrams", nn::EmbeddingOptions{lexicon_.trigrams->size(), config.trigrams, 0.1f});
    width += config.trigrams;
  }
  width *= 2 * config.context + 1;
  if (config.model == "window") {
    for (std::int64_t layer = 0; layer < config.layers; ++layer) {
      feed_forward_.emplace_back(parameters_, "hidden" + std::to_string(layer),
                                 nn::LinearOptions{width, config.hidden, true});
      width = config.hidden;
    }
  } else {
    recurrent_.emplace(parameters_, "recurrent", recurrent_layers(config, width));
    width = config.hidden * (is_bidirectional(config.model) ? 2 : 1);
  }
  output_.emplace(parameters_, "output", nn::LinearOptions{width, lexicon_.labels.size(), true});
}

Value Tagger::word_inputs(Graph& graph) const {
  const Value words = (*words_)(graph.input("words", DType::i32, {"T", "N"}));  // [T, N, E]
  if (!trigrams_) return words;
  const Value ids = graph.input("trigrams", DType::i32, {"T", "N", "F"});
  const Value padding = graph.input("negated_padding", DType::f32, {"T", "N", "1"});
  const Value padding_row = slice(parameters_.use(graph, "trigrams.weight"), 0, 0, 1);  // [1, E2]
  const Value sum = reduce((*trigrams_)(ids), Reduction::sum, 2);                       // [T, N, E2]
  const std::array parts{words, add(sum, matmul(padding, padding_row))};
  return concat(parts);
}

Value Tagger::logits(Graph& graph, Value lengths) const {
  Value x = word_inputs(graph);
  if (config_.context > 0) x = context_window(x, static_cast<int>(config_.context), lengths);
  if (config_.input_dropout > 0) x = dropout(x, static_cast<float>(config_.input_dropout));
  for (const nn::Linear& layer : feed_forward_) x = tanh(layer(x));
  if (recurrent_) x = (*recurrent_)(x, lengths);
  if (config_.dropout > 0) x = dropout(x, static_cast<float>(config_.dropout));
  return (*output_)(x);
}

Value Tagger::loss(Graph& graph) const {
  const Value lengths = graph.input("lengths", DType::i32, {"N"});
  return cross_entropy(logits(graph, lengths), graph.input("tags", DType::i32, {"T", "N"}), lengths);
}

Batch Tagger::feed(const data::SequenceBatch& batch) const {
  Batch inputs{{"words", batch.words}, {"tags", batch.tags}, {"lengths", batch.lengths}};
  if (lexicon_.trigrams) {
    inputs.emplace("negated_padding", negated_padding(batch.trigrams));
    inputs.emplace("trigrams", batch.trigrams);
  }
  return inputs;
}

std::vector<data::SequenceBatch> Tagger::batches(std::span<const data::Sentence> train, std::int64_t epoch) const {
  data::BatchOptions options;
  options.batch_size = static_cast<int>(config_.batch);
  options.length_multiple = kLengthMultiple;
  options.trigram_multiple = kTrigramMultiple;
  options.full_batches = true;
  options.word_dropout = static_cast<float>(config_.word_dropout);
  options.seed = static_cast<std::uint64_t>(config_.seed);
  return data::make_batches(train, lexicon_.vocabulary, lexicon_.labels,
                            lexicon_.trigrams ? &*lexicon_.trigrams : nullptr, options,
                            static_cast<std::uint64_t>(epoch));
}

TagLists Tagger::label(std::span<const data::Sentence> sentences) {
  if (!session_) {
    session_ = std::make_unique<Session>(device_, parameters_, [this](Graph& graph) {
      graph.output("logits", logits(graph, graph.input("lengths", DType::i32, {"N"})));
    });
  }
  data::BatchOptions options;
  options.batch_size = kLabelBatch;
  options.length_multiple = kLengthMultiple;
  options.trigram_multiple = kTrigramMultiple;
  options.shuffle = false;
  options.full_batches = true;
  options.unknown_tags_as_outside = true;
  TagLists result(sentences.size());
  for (const data::SequenceBatch& batch :
       data::make_batches(sentences, lexicon_.vocabulary, lexicon_.labels,
                          lexicon_.trigrams ? &*lexicon_.trigrams : nullptr, options, 0)) {
    Batch inputs = feed(batch);
    inputs.erase("tags");
    const HostTensor scores = session_->run(inputs).at("logits");  // [T, N, K]
    const auto values = scores.view<float>();
    const auto lengths = batch.lengths.view<std::int32_t>();
    const auto columns = static_cast<std::size_t>(scores.shape[1]), kinds = static_cast<std::size_t>(scores.shape[2]);
    for (std::size_t n = 0; n < columns; ++n) {
      if (batch.sentence_index[n] < 0) continue;
      std::vector<std::string>& tags = result[static_cast<std::size_t>(batch.sentence_index[n])];
      for (std::size_t t = 0; t < static_cast<std::size_t>(lengths[n]); ++t) {
        const auto row = values.subspan((t * columns + n) * kinds, kinds);
        const auto best = std::max_element(row.begin(), row.end()) - row.begin();
        tags.push_back(lexicon_.labels.tag(static_cast<std::int32_t>(best)));
      }
    }
  }
  return result;
}

void save_tagger(const std::string& path, const Tagger& tagger, const TensorMap& parameters) {
  TensorFile file{parameters,
                  {{"format", kTaggerFormat},
                   {"config", to_toml(tagger.config())},
                   {"vocabulary", tagger.lexicon().vocabulary.to_string()},
                   {"labels", tagger.lexicon().labels.to_string()}}};
  if (tagger.lexicon().trigrams) file.metadata.emplace("trigrams", tagger.lexicon().trigrams->to_string());
  write_safetensors(path, file);
}

std::unique_ptr<Tagger> load_tagger(const ModelFile& model, const Device& device) {
  const Config config = model.config();
  Lexicon lexicon{data::Vocabulary::from_string(model.text("vocabulary")),
                  data::Labels::from_string(model.text("labels")), std::nullopt};
  if (config.trigrams > 0) lexicon.trigrams = data::TrigramFeatures::from_string(model.text("trigrams"));
  auto tagger = std::make_unique<Tagger>(device, config, std::move(lexicon));
  tagger->parameters().set_all(model.file.tensors);
  return tagger;
}

}  // namespace seqgpu::tool
