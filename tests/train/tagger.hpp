#pragma once

#include <random>
#include <vector>

#include "seqgpu/seqgpu.hpp"

namespace seqgpu::support {

struct TaggerOptions {
  CellKind cell = CellKind::lstm;
  int layers = 1;
  bool bidirectional = true;
  float dropout = 0.f, recurrent_dropout = 0.f, zoneout = 0.f;
  int radius = 0;
  std::int64_t hidden = 9;
  DType dtype = DType::f32;
  std::uint64_t seed = 11;
};

inline constexpr CellKind kCells[] = {CellKind::elman, CellKind::lstm, CellKind::gru, CellKind::gru_reset_before};

inline TaggerOptions everything(CellKind cell) {
  return {.cell = cell, .layers = 2, .dropout = 0.2f, .recurrent_dropout = 0.2f, .zoneout = 0.1f, .radius = 1};
}
inline Adam adam_with_all() { return {.rate = 0.01f, .clip_norm = 1.f, .clip_value = 0.5f, .ema_decay = 0.9f}; }

/// ids -> embedding -> layers -> linear, over ragged batches, with all that a training step can hold.
struct Tagger {
  static constexpr std::int64_t kVocabulary = 12, kLabels = 5;

  Parameters parameters;
  TaggerOptions options;
  nn::Embedding embed;
  nn::Recurrent rnn;
  nn::Linear head;

  Tagger(const Device& device, const TaggerOptions& o)
      : parameters(device, o.seed, o.dtype),
        options(o),
        embed(parameters, "embed", {.vocabulary = kVocabulary, .width = 6, .scale = 0.5f}),
        rnn(parameters, "rnn", layer(o)),
        head(parameters, "head", {.input = o.hidden * (o.bidirectional ? 2 : 1), .output = kLabels}) {}

  static nn::RecurrentLayerOptions layer(const TaggerOptions& o) {
    nn::RecurrentLayerOptions l{.cell = o.cell, .input = 6 * (2 * o.radius + 1), .hidden = o.hidden};
    l.layers = o.layers;
    l.bidirectional = o.bidirectional;
    l.dropout = o.dropout;
    l.options.recurrent_dropout = o.recurrent_dropout;
    l.options.zoneout_hidden = l.options.zoneout_cell = o.zoneout;
    return l;
  }

  Value scores(Graph& g) const {
    const Value lengths = g.input("lengths", DType::i32, {"N"});
    Value x = dropout(embed(g.input("ids", DType::i32, {"T", "N"})), options.dropout);
    if (options.radius > 0) x = context_window(x, options.radius, lengths);
    return head(rnn(x, lengths));
  }
  Value loss(Graph& g) const {
    const Value y = scores(g);
    g.output("scores", y);
    return cross_entropy(y, g.input("labels", DType::i32, {"T", "N"}), g.input("lengths", DType::i32, {"N"}));
  }
};

/// Random ids; the label of a step is a function of this word and the one before.
inline Batch tagger_batch(std::int64_t T, std::int64_t N, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::int32_t> ids(static_cast<std::size_t>(T * N)), labels(ids.size()), lengths;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ids[i] = static_cast<std::int32_t>(random() % Tagger::kVocabulary);
    const std::int32_t before = i >= static_cast<std::size_t>(N) ? ids[i - static_cast<std::size_t>(N)] : 0;
    labels[i] = (before * 3 + ids[i]) % static_cast<std::int32_t>(Tagger::kLabels);
  }
  for (std::int64_t n = 0; n < N; ++n) {
    lengths.push_back(static_cast<std::int32_t>(n == 0 ? T : n == 1 ? 0 : 1 + random() % static_cast<unsigned>(T)));
  }
  return {{"ids", HostTensor::of({T, N}, ids)},
          {"labels", HostTensor::of({T, N}, labels)},
          {"lengths", HostTensor::of({N}, lengths)}};
}

}  // namespace seqgpu::support
