#pragma once

#include <string>
#include <vector>

#include "seqgpu/ops.hpp"
#include "seqgpu/parameters.hpp"
#include "seqgpu/recurrent.hpp"

namespace seqgpu::nn {

struct EmbeddingOptions {
  std::int64_t vocabulary = 0;
  std::int64_t width = 0;
  float scale = 0.1f;  ///< start: U(-scale, scale)
};
/// ids [...] -> [..., width]; parameter `<name>.weight` [vocabulary, width].
class SEQGPU_API Embedding {
 public:
  Embedding(Parameters& parameters, const std::string& name, const EmbeddingOptions& options);
  Value operator()(Value ids) const;

 private:
  const Parameters* parameters_;
  int weight_;
};

struct LinearOptions {
  std::int64_t input = 0;
  std::int64_t output = 0;
  bool bias = true;
};
/// x [..., input] -> [..., output]; `<name>.weight` [output, input], `<name>.bias` [output]; U(+-1/sqrt(input)).
class SEQGPU_API Linear {
 public:
  Linear(Parameters& parameters, const std::string& name, const LinearOptions& options);
  Value operator()(Value x) const;

 private:
  const Parameters* parameters_;
  int weight_, bias_ = -1;
};

struct RecurrentLayerOptions {
  CellKind cell = CellKind::lstm;
  std::int64_t input = 0;
  std::int64_t hidden = 0;
  int layers = 1;
  bool bidirectional = false;
  bool bias = true;
  bool peephole = false;
  std::int64_t projection = 0;  ///< recurring width; 0: none
  bool projection_bias = false;
  bool identity_start = false;    ///< Elman: w_hh = identity, biases 0 (IRNN, Le et al. 2015)
  float forget_bias = 0.f;        ///< LSTM: start of the forget gate's b_ih (b_hh starts at 0 there)
  float dropout = 0.f;            ///< between layers
  bool shared_dropout = false;    ///< one mask for all steps
  RecurrentOptions options = {};  ///< all else; its cell and direction are ignored
};

/// Stacked, optionally bidirectional recurrence. Parameters are PyTorch's: `<name>.weight_ih_l0`, `weight_hh_l0`,
/// `bias_ih_l0`, `bias_hh_l0`, `weight_hr_l0`, suffix `_reverse`; ours alone: `peephole_l0`, `bias_hr_l0`.
class SEQGPU_API Recurrent {
 public:
  Recurrent(Parameters& parameters, const std::string& name, const RecurrentLayerOptions& options);

  /// x [T, N, I] -> [T, N, D*R]
  Value operator()(Value x, Value lengths = {}) const;
  struct Result {
    Value output;              ///< [T, N, D*R]
    std::vector<Value> final;  ///< layer-major, then direction, then state
  };
  /// @param initial  as Result::final, or empty
  Result run(Value x, Value lengths, Value resets, const std::vector<Value>& initial) const;

 private:
  struct Weights {
    int w_ih, w_hh, b_ih = -1, b_hh = -1, peephole = -1, projection = -1, projection_bias = -1;
  };
  const Parameters* parameters_;
  RecurrentLayerOptions options_;
  std::vector<Weights> weights_;  // layer-major, then direction
};

}  // namespace seqgpu::nn
