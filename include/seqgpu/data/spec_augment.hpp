#pragma once

#include <cstdint>

#include "seqgpu/tensor.hpp"

namespace seqgpu::data {

/// Widths are drawn evenly from 0 to the most, then the place evenly from those where the mask fits.
struct SpecAugmentOptions {
  int time_masks = 2;
  int max_time = 25;            ///< frames that a time mask covers at most
  double max_time_share = 0.2;  ///< and at most this share of the sequence, from 0 to 1
  int frequency_masks = 2;
  int max_frequency = 8;  ///< features that a frequency mask covers at most
  int groups = 1;         ///< a frequency mask covers the same places in each of `groups` equal parts of F:
                          ///< 1 + order where add_deltas() was applied
  float fill = 0.f;       ///< what masked places become: 0 is the mean once features are normalised
  std::uint64_t seed = 0;
};

/// Masks of SpecAugment (Park et al. 2019, without time warping), in place. What is masked depends on (seed, stream)
/// and the shape alone, on every machine.
/// @param features  [T, F] f32
/// @param stream    tells draws apart, for instance of the epoch and the utterance
/// @throws Error{invalid_argument} naming the option out of range, or where F is no multiple of groups
SEQGPU_API void spec_augment(HostTensor& features, const SpecAugmentOptions& options, std::uint64_t stream);

}  // namespace seqgpu::data
