#pragma once

#include <memory>
#include <vector>

#include "seqgpu/data/manifest.hpp"
#include "seqgpu/decode/beam_search.hpp"
#include "seqgpu/decode/greedy.hpp"
#include "tools/seqgpu/config.hpp"

namespace seqgpu::tool {

/// Greedy or beam search, with the language model and word list that the config names.
class Decoder {
 public:
  /// @throws Error naming the file and line of a language model or word list that cannot be used
  Decoder(const Config& config, const data::SymbolTable& symbols);
  /// Best path only.
  static Decoder greedy(int threads);

  /// @return [N], the best of each sequence; without labels where the word list allows none
  std::vector<decode::Hypothesis> operator()(const decode::FramesView& frames) const;

 private:
  Decoder() = default;

  bool beam_ = false;
  decode::GreedyOptions greedy_;
  decode::BeamOptions options_;
};

}  // namespace seqgpu::tool
