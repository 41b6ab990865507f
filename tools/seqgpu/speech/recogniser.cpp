#include "recogniser.hpp"

#include <algorithm>
#include <utility>

#include "tools/seqgpu/network.hpp"

namespace seqgpu::tool {
namespace {

constexpr int kLabelMultiple = 8;
constexpr int kTranscribeBatch = 32;
constexpr const char* kStatistics = "statistics.";  // before the names of tensors that are no parameters

CtcResult ctc(Graph& graph, Value logits, Value lengths, CtcReduction reduction) {
  CtcInputs inputs;
  inputs.targets = graph.input("targets", DType::i32, {"N", "L"});
  inputs.target_lengths = graph.input("target_lengths", DType::i32, {"N"});
  inputs.input_lengths = lengths;
  CtcOptions options;
  options.blank = data::SymbolTable::kBlank;
  options.reduction = reduction;
  return ctc_loss(logits, inputs, options);
}

}  // namespace

Recogniser::Recogniser(const Device& device, const Config& config, data::SymbolTable symbols, const FrontEnd& front_end)
    : device_(device),
      config_(config),
      symbols_(std::move(symbols)),
      parameters_(device, static_cast<std::uint64_t>(config.seed)) {
  recurrent_.emplace(parameters_, "recurrent", recurrent_layers(config, front_end.width()));
  output_.emplace(parameters_, "output",
                  nn::LinearOptions{config.hidden * (is_bidirectional(config.model) ? 2 : 1), symbols_.size(), true});
}

Value Recogniser::logits(Graph& graph, Value lengths) const {
  Value x = graph.input("features", DType::f32, {"T", "N", "F"});
  if (config_.input_dropout > 0) x = dropout(x, static_cast<float>(config_.input_dropout));
  x = (*recurrent_)(x, lengths);
  if (config_.dropout > 0) x = dropout(x, static_cast<float>(config_.dropout));
  return (*output_)(x);
}

Value Recogniser::loss(Graph& graph) const {
  const Value lengths = graph.input("lengths", DType::i32, {"N"});
  return ctc(graph, logits(graph, lengths), lengths, CtcReduction::mean_by_tokens).loss;
}

Batch Recogniser::feed(data::SpeechBatch batch) {
  Batch inputs;
  inputs.emplace("features", std::move(batch.features));
  inputs.emplace("lengths", std::move(batch.lengths));
  inputs.emplace("targets", std::move(batch.targets));
  inputs.emplace("target_lengths", std::move(batch.target_lengths));
  return inputs;
}

data::SpeechBatchOptions Recogniser::batch_options() const {
  data::SpeechBatchOptions options;
  options.batch_size = static_cast<int>(config_.batch);
  options.batch_frames = config_.batch_frames;
  options.frame_multiple = static_cast<int>(config_.frame_multiple);
  options.label_multiple = kLabelMultiple;
  options.full_batches = true;
  options.seed = static_cast<std::uint64_t>(config_.seed);
  if (config_.time_masks > 0 || config_.frequency_masks > 0) {
    data::SpecAugmentOptions masks;
    masks.time_masks = static_cast<int>(config_.time_masks);
    masks.max_time = static_cast<int>(config_.max_time);
    masks.max_time_share = config_.max_time_share;
    masks.frequency_masks = static_cast<int>(config_.frequency_masks);
    masks.max_frequency = static_cast<int>(config_.max_frequency);
    masks.groups = static_cast<int>((1 + config_.delta_order) * config_.stack);
    masks.seed = options.seed;
    options.augment = masks;
  }
  return options;
}

std::vector<Transcription> Recogniser::transcribe(std::span<const data::SpeechExample> recordings,
                                                  const Decoder& decoder, bool keep_log_probs) {
  if (!session_) {
    session_ = std::make_unique<Session>(device_, parameters_, [this](Graph& graph) {
      const Value lengths = graph.input("lengths", DType::i32, {"N"});
      const Value scores = logits(graph, lengths);
      graph.output("log_probs", log_softmax(scores));
      graph.output("losses", ctc(graph, scores, lengths, CtcReduction::none).per_sequence);
    });
  }
  data::SpeechBatchOptions options = batch_options();
  options.batch_size = kTranscribeBatch;
  options.shuffle = false;
  options.augment.reset();
  std::vector<Transcription> result(recordings.size());
  for (const std::vector<int>& columns : data::plan_speech_batches(recordings, options, 0)) {
    data::SpeechBatch batch = data::make_speech_batch(recordings, columns, options, 0);
    const HostTensor lengths = batch.lengths;
    TensorMap outputs = session_->run(feed(std::move(batch)));
    const HostTensor& log_probs = outputs.at("log_probs");  // [T, N, K]
    const auto losses = outputs.at("losses").view<float>();
    const std::int64_t N = log_probs.shape[1], K = log_probs.shape[2];
    std::vector<decode::Hypothesis> hypotheses =
        decoder({log_probs.view<float>(), log_probs.shape[0], N, K, lengths.view<std::int32_t>()});
    for (std::size_t n = 0; n < columns.size(); ++n) {
      if (columns[n] < 0) continue;
      Transcription& out = result[static_cast<std::size_t>(columns[n])];
      out.hypothesis = std::move(hypotheses[n]);
      out.text = symbols_.decode(out.hypothesis.labels);
      out.loss = static_cast<double>(losses[n]);
      if (!keep_log_probs) continue;
      const std::int64_t frames = lengths.view<std::int32_t>()[n];
      out.log_probs = HostTensor(DType::f32, {frames, K});
      for (std::int64_t t = 0; t < frames; ++t) {
        const auto from = log_probs.view<float>().subspan(
            static_cast<std::size_t>((t * N + static_cast<std::int64_t>(n)) * K), static_cast<std::size_t>(K));
        std::copy(from.begin(), from.end(), out.log_probs.view<float>().begin() + t * K);
      }
    }
  }
  return result;
}

void save_recogniser(const std::string& path, const Recogniser& recogniser, const FrontEnd& front_end,
                     const TensorMap& parameters) {
  TensorFile file{parameters,
                  {{"format", kRecogniserFormat},
                   {"config", to_toml(recogniser.config())},
                   {"symbols", recogniser.symbols().to_string()}}};
  for (auto& [name, tensor] : front_end.statistics().to_tensors()) file.tensors.emplace(kStatistics + name, tensor);
  write_safetensors(path, file);
}

LoadedRecogniser load_recogniser(const ModelFile& model, const Device& device) {
  const Config config = model.config();
  TensorMap parameters, statistics;
  for (const auto& [name, tensor] : model.file.tensors) {
    const std::string prefix = kStatistics;
    if (name.starts_with(prefix)) {
      statistics.emplace(name.substr(prefix.size()), tensor);
    } else {
      parameters.emplace(name, tensor);
    }
  }
  LoadedRecogniser loaded{FrontEnd(config, data::FeatureStatistics::from_tensors(statistics)), nullptr};
  loaded.recogniser = std::make_unique<Recogniser>(
      device, config, data::SymbolTable::from_string(model.text("symbols")), loaded.front_end);
  loaded.recogniser->parameters().set_all(parameters);
  return loaded;
}

}  // namespace seqgpu::tool
