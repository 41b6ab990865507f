#pragma once

#include <cstdint>

#include "kernels/math/philox.hpp"
#include "op/recurrent_desc.hpp"
#include "tests/reference/recurrent.hpp"

namespace seqgpu::support {

/// The equations in double, masks drawn where training. A Layer has desc, in (by input slot), lengths, resets and step.
template <class Layer>
reference::RecurrentResult expected(const Layer& l, bool training) {
  const auto& d = l.desc;
  reference::Recurrent p;
  p.cell = d.cell;
  p.reverse = d.direction == Direction::reverse;
  p.T = static_cast<int>(d.T), p.N = static_cast<int>(d.N), p.I = static_cast<int>(d.I);
  p.H = static_cast<int>(d.H), p.R = static_cast<int>(d.R);
  p.activation = d.activation, p.output_activation = d.output_activation;
  p.projection_activation = d.projection_activation;
  p.coupled_gates = d.coupled_gates, p.cell_clip = d.cell_clip;
  p.x = l.in[op::kInX], p.w_ih = l.in[op::kInWih], p.w_hh = l.in[op::kInWhh];
  p.b_ih = l.in[op::kInBih], p.b_hh = l.in[op::kInBhh], p.peephole = l.in[op::kInUnit];
  p.projection = l.in[op::kInProj], p.projection_bias = l.in[op::kInProjB];
  p.lengths = l.lengths, p.resets = l.resets;
  p.initial[0] = l.in[op::kInState0], p.initial[1] = l.in[op::kInState0 + 1];
  p.zoneout[0] = d.zoneout_hidden, p.zoneout[1] = d.zoneout_cell;
  if (!training) return reference::recurrent(p);
  const auto step = static_cast<std::uint64_t>(l.step);
  for (std::int64_t i = 0; d.recurrent_dropout > 0 && i < d.N * d.R; ++i) {
    const float draw = math::uniform(d.seed, d.stream * 8, step, static_cast<std::uint64_t>(i));
    p.dropout.push_back(draw >= d.recurrent_dropout ? 1 / (1 - static_cast<double>(d.recurrent_dropout)) : 0);
  }
  for (std::uint64_t s = 0; s < 2; ++s)
    for (std::int64_t i = 0; p.zoneout[s] > 0 && i < d.T * d.N * (s == 0 ? d.R : d.H); ++i)
      p.keep[s].push_back(math::uniform(d.seed, d.stream * 8 + 1 + s, step, static_cast<std::uint64_t>(i)) <
                          static_cast<float>(p.zoneout[s]));
  return reference::recurrent(p);
}

}  // namespace seqgpu::support
