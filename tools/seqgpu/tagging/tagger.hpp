#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "seqgpu/data/batching.hpp"
#include "seqgpu/seqgpu.hpp"
#include "tools/seqgpu/config.hpp"
#include "tools/seqgpu/model_file.hpp"

namespace seqgpu::tool {

/// Words to tags:
///   word vector, trigram vector   [T, N, E]   joined with those of `context` words on each side
///   dropout, hidden layers        [T, N, H]   feed-forward (window) or recurrent
///   dropout, linear               [T, N, K]   a score for each tag
class Tagger {
 public:
  /// @param config  resolved
  Tagger(const Device& device, const Config& config, Lexicon lexicon);

  const Config& config() const { return config_; }
  const Lexicon& lexicon() const { return lexicon_; }
  Parameters& parameters() { return parameters_; }
  const Device& device() const { return device_; }

  /// The mean cross-entropy of a batch: what a Trainer builds.
  Value loss(Graph& graph) const;
  /// What loss() and label() read.
  Batch feed(const data::SequenceBatch& batch) const;
  /// One epoch of training batches.
  std::vector<data::SequenceBatch> batches(std::span<const data::Sentence> train, std::int64_t epoch) const;

  /// The best tag of each word; tags the sentences carry are not looked at.
  TagLists label(std::span<const data::Sentence> sentences);

 private:
  Value logits(Graph& graph, Value lengths) const;
  Value word_inputs(Graph& graph) const;

  Device device_;
  Config config_;
  Lexicon lexicon_;
  Parameters parameters_;
  std::optional<nn::Embedding> words_, trigrams_;
  std::vector<nn::Linear> feed_forward_;
  std::optional<nn::Recurrent> recurrent_;
  std::optional<nn::Linear> output_;
  std::unique_ptr<Session> session_;
};

/// The tagger's parameters, with all that labelling needs as metadata.
void save_tagger(const std::string& path, const Tagger& tagger, const TensorMap& parameters);
/// @throws Error{invalid_file} if the file is not a tagger's model
std::unique_ptr<Tagger> load_tagger(const ModelFile& model, const Device& device);

}  // namespace seqgpu::tool
