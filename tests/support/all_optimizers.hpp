#pragma once

#include <vector>

#include "seqgpu/optim.hpp"

namespace seqgpu::support {

/// Adds `o` with every choice of clipping, weight decay and moving average.
template <class O>
void add_variants(std::vector<Optimizer>& all, O o) {
  o.rate = 0.05f;
  for (int bits = 0; bits < 16; ++bits) {
    o.clip_norm = bits & 1 ? 1.5f : 0.f;
    o.clip_value = bits & 2 ? 0.4f : 0.f;
    o.weight_decay = bits & 4 ? 0.1f : 0.f;
    o.ema_decay = bits & 8 ? 0.8f : 0.f;
    all.emplace_back(o);
  }
}

/// Each kind of optimiser, with each of those.
inline std::vector<Optimizer> all_optimizers() {
  std::vector<Optimizer> all;
  add_variants(all, Sgd{});
  add_variants(all, Momentum{});
  add_variants(all, Momentum{.momentum = 0.8f, .nesterov = true});
  add_variants(all, RmsProp{});
  add_variants(all, Adagrad{});
  add_variants(all, Adam{});
  add_variants(all, AdamW{});
  return all;
}

}  // namespace seqgpu::support
