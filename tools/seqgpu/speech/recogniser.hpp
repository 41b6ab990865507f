#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "corpus.hpp"
#include "decoder.hpp"
#include "seqgpu/seqgpu.hpp"
#include "tools/seqgpu/model_file.hpp"

namespace seqgpu::tool {

/// What a recogniser makes of one recording.
struct Transcription {
  decode::Hypothesis hypothesis;
  std::string text;
  HostTensor log_probs;  ///< [T, K] of the symbols, blank first; empty unless asked for
  double loss = 0;       ///< -ln p(labels of the example | recording)
};

/// Sound to symbols:
///   normalised features    [T, N, F]
///   dropout, hidden layers [T, N, D*H]  recurrent
///   dropout, linear        [T, N, K]    a score for each symbol and the blank, trained by CTC
class Recogniser {
 public:
  /// @param config  resolved, with a sample rate
  Recogniser(const Device& device, const Config& config, data::SymbolTable symbols, const FrontEnd& front_end);

  const Config& config() const { return config_; }
  const Device& device() const { return device_; }
  const data::SymbolTable& symbols() const { return symbols_; }
  Parameters& parameters() { return parameters_; }

  /// CTC's loss, by symbol: what a Trainer builds.
  Value loss(Graph& graph) const;
  /// What loss() reads.
  static Batch feed(data::SpeechBatch batch);
  /// How training recordings come together.
  data::SpeechBatchOptions batch_options() const;

  /// @param recordings  normalised
  std::vector<Transcription> transcribe(std::span<const data::SpeechExample> recordings, const Decoder& decoder,
                                        bool keep_log_probs = false);

 private:
  Value logits(Graph& graph, Value lengths) const;

  Device device_;
  Config config_;
  data::SymbolTable symbols_;
  Parameters parameters_;
  std::optional<nn::Recurrent> recurrent_;
  std::optional<nn::Linear> output_;
  std::unique_ptr<Session> session_;
};

/// Parameters, and all else that it takes to transcribe: the statistics of the features as tensors, symbols and
/// configuration as metadata.
void save_recogniser(const std::string& path, const Recogniser& recogniser, const FrontEnd& front_end,
                     const TensorMap& parameters);

struct LoadedRecogniser {
  FrontEnd front_end;
  std::unique_ptr<Recogniser> recogniser;
};
/// @throws Error{invalid_file} if the file is not a recogniser's model
LoadedRecogniser load_recogniser(const ModelFile& model, const Device& device);

}  // namespace seqgpu::tool
