#pragma once

#include "kernels/ctc/walk.cuh"

// Alpha and beta of one sequence, at once: alpha walks from the first frame, beta from the last, and each stores its
// states once in kCtcBlock frames. They meet in the middle, which gives p(target | x). For posteriors each then crosses
// the other's half: of every block the other's states are computed again, multiplied with its own, and divided by their
// sum.
//   work    a block for each sequence: up to kCtcWarps warps for alpha, as many for beta, and one that adds up what the
//           softmax takes off the loss. T / 2 steps in series, 1.4 T with posteriors
//   memory  columns and frames once; with posteriors also rows of states, a fourth of one table, twice, columns and
//           frames again, and posteriors once, over the columns
//   fused   the same block first checks its sequence and reads its frames, where those are few
//   limits  N < 2^31
namespace seqgpu::kernels {

inline constexpr int kCtcThreads = (2 * kCtcWarps + 1) * kWarp;

struct CtcBox {
  CtcGroupBox groups[2];
  CtcSequence sequence;  // here, as in registers it would take those that the walks need
  std::int64_t alpha_power;
  CtcMeeting meeting;
  double constants, negative_log;
};

struct CtcChainsPass {
  CtcForwardArgs args;
  bool fused;    // check and read, too
  bool ordered;  // with the labels' order
  bool wanted;   // posteriors, not only the loss
};

/// What the softmax and the scales of emissions take off ln p, in an order that depends on the frames alone. One warp.
__device__ inline double ctc_constants(const CtcForwardArgs& a, const CtcSequence& s, std::int64_t n) {
  constexpr double kLn2 = 0.693147180559945309417;
  const std::int64_t at = n * a.shape.T;
  double total = 0, product = 1;
  std::int64_t power = 0;
  int factors = 0;
  for (std::int64_t t = threadIdx.x % kWarp; t < s.frames; t += kWarp) {
    const CtcFrame frame = a.scratch.frames[at + t];
    total += static_cast<double>(a.kept.largest[at + t]) - static_cast<double>(frame.shift);
    power += frame.power;
    product *= static_cast<double>(a.kept.sum[at + t]);  // a frame's sum is below 2^63: 16 of them fit
    if (++factors == 16) {
      total += log(product);
      product = 1;
      factors = 0;
    }
  }
  total = warp_sum(total + log(product));
  power = warp_sum(power);
  return total - static_cast<double>(power) * kLn2 +
         static_cast<double>(s.frames) * log(static_cast<double>(kCtcFactor));
}

/// A barrier of the whole block, which its warps reach at different places. The groups' have numbers 1 and 2.
__device__ __forceinline__ void ctc_all_meet() { named_barrier(3, blockDim.x); }

/// Alpha, thread by thread of its group.
template <class Home>
__device__ __forceinline__ void ctc_alpha(CtcWalk<Home>& walk, const CtcView& view, const CtcPlaces& places,
                                          CtcBox& box) {
  const std::int64_t blocks = ctc_blocks(view.length), middle = blocks / 2;
  walk.start(0);  // as if a frame before the first had emitted the first blank
  walk.fetch(0);
  for (std::int64_t b = 0; b < middle; ++b) {
    if (b % kCtcNormalBlocks == 0) walk.normalise();
    walk.emit(b);
    walk.fetch(b + 1);
    const int n = walk.frames(b);
#pragma unroll(Home::kUnroll)
    for (int i = 0; i < kCtcBlock; ++i) {
      if (i < n) walk.step_alpha(i);
      if (i == 0 && places.posteriors) walk.store(walk.begin_row(b));
    }
  }
  walk.store(places.meeting);
  if (walk.first()) box.alpha_power = walk.power();
  ctc_all_meet();
  ctc_all_meet();  // box.meeting is there
  if (!places.posteriors) return;
  const std::int64_t total = box.meeting.exponent();
  if (middle < blocks) walk.fetch_row(middle);
  for (std::int64_t b = middle; b < blocks; ++b) {
    if (b % kCtcNormalBlocks == 0) walk.normalise();
    walk.emit(b);
    walk.fetch(b + 1);
    walk.cross_alpha(b, total);
  }
}

/// Beta, which notes what the two found where they met.
template <class Home>
__device__ __forceinline__ void ctc_beta(CtcWalk<Home>& walk, const CtcView& view, const CtcPlaces& places,
                                         CtcBox& box) {
  const std::int64_t blocks = ctc_blocks(view.length), middle = blocks / 2;
  walk.start(view.labels);  // as if a frame behind the last had emitted the last blank
  if (blocks > 0) walk.fetch(blocks - 1);
  for (std::int64_t b = blocks; b-- > middle;) {
    if (b % kCtcNormalBlocks == kCtcNormalBlocks - 1) walk.normalise();
    walk.emit(b);
    if (b > 0) walk.fetch(b - 1);
    CtcPair* row = places.posteriors ? walk.begin_row(b) : nullptr;
    const int n = walk.frames(b);
#pragma unroll(Home::kUnroll)
    for (int i = kCtcBlock - 1; i >= 0; --i) {
      if (i < n) walk.step_beta(i, i == n - 1 ? row : nullptr);
    }
  }
  ctc_all_meet();
  const CtcMeeting meeting = walk.meet(places.meeting, box.alpha_power);
  if (walk.first()) box.meeting = meeting;
  ctc_all_meet();
  if (!places.posteriors) return;
  const std::int64_t total = meeting.exponent();
  if (middle > 0) walk.fetch_row(middle - 1);
  for (std::int64_t b = middle; b-- > 0;) {
    if (b % kCtcNormalBlocks == kCtcNormalBlocks - 1) walk.normalise();
    walk.emit(b);
    if (b > 0) walk.fetch(b - 1);
    walk.cross_beta(b, total);
  }
}

/// -ln p, from where they met.
__device__ inline double ctc_negative_log(const CtcBox& box, bool from_log_probs) {
  constexpr double kLn2 = 0.693147180559945309417;
  const CtcMeeting& p = box.meeting;
  if (p.sum == 0) return isnan(box.constants) ? box.constants : HUGE_VAL;
  const double value = box.constants - log(static_cast<double>(p.sum)) - static_cast<double>(p.power) * kLn2;
  return !from_log_probs && value < 0 ? 0 : value;  // a rounding; log-probabilities may sum to more than 1
}

/// Everything of one sequence that is possible; by the whole block. @return -ln p
__device__ inline double ctc_chains(const CtcChainsPass& p, const CtcSequence& s, std::int64_t n, CtcBox& box) {
  const CtcForwardArgs& a = p.args;
  const CtcShape& z = a.shape;
  const std::int64_t blocks = ctc_blocks(z.T), slot = s.first + n;
  const CtcView view{a.targets + s.first, ctc_columns(z, a.kept, s, n, 0), a.scratch.frames + n * z.T, s.labels,
                     s.frames};
  CtcPlaces places;
  places.rows = a.scratch.rows + blocks * slot;
  places.powers = a.scratch.powers + blocks * n;
  places.meeting = a.scratch.meeting + slot;
  places.posteriors = p.wanted ? ctc_columns(z, a.kept, s, n, 0) : nullptr;
  places.alignment_row = z.N * (2 * z.L + 1);
  places.alignment = a.alignment ? a.alignment + n * (2 * z.L + 1) : nullptr;

  const bool one = s.labels + 1 <= kCtcPositions;
  const int warps = one ? static_cast<int>(s.labels / kWarp) + 1 : kCtcWarps;
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  if (warp < 2 * warps) {
    const int side = warp < warps ? 0 : 1;
    CtcGroup group(box.groups[side], 1 + static_cast<unsigned>(side), warps,
                   static_cast<int>(threadIdx.x) - side * warps * kWarp);
    const auto walk = [&](auto& home) {
      CtcWalk walk(view, places, group, home);
      if (side == 0) {
        ctc_alpha(walk, view, places, box);
      } else {
        ctc_beta(walk, view, places, box);
      }
    };
    if (one) {
      CtcOneHome home(view, group.thread(), group.threads());
      walk(home);
    } else {
      std::byte* memory = a.scratch.homes + kCtcHomeBytes * (slot + kCtcPositions * n);
      CtcManyHome home(view, group.thread(), group.threads(),
                       memory + side * (kCtcHomeBytes / 2) * (s.labels + 1 + kCtcPositions));
      walk(home);
    }
  } else {
    if (warp == 2 * warps) {
      const double constants = ctc_constants(a, s, n);
      if (threadIdx.x % kWarp == 0) box.constants = constants;
    }
    ctc_all_meet();
    ctc_all_meet();
  }
  __syncthreads();
  if (threadIdx.x == 0) box.negative_log = ctc_negative_log(box, z.from_log_probs);
  __syncthreads();
  return box.negative_log;
}

/// Frames and states of the alignment: from the first, up to the last and not with it.
struct CtcPatch {
  std::int64_t first_frame, last_frame, first_state, last_state;
};

/// By the whole block.
__device__ inline void ctc_fill_alignment(const CtcForwardArgs& a, std::int64_t n, CtcPatch patch, float value) {
  const std::int64_t S = 2 * a.shape.L + 1;
  const int warps = static_cast<int>(blockDim.x) / kWarp;
  for (std::int64_t t = patch.first_frame + threadIdx.x / kWarp; t < patch.last_frame; t += warps) {
    float* row = a.alignment + (t * a.shape.N + n) * S;
    for (std::int64_t s = patch.first_state + threadIdx.x % kWarp; s < patch.last_state; s += kWarp) row[s] = value;
  }
}

__global__ void __launch_bounds__(kCtcThreads) ctc_chains_kernel(CtcChainsPass p) {
  const CtcForwardArgs& a = p.args;
  const CtcShape& z = a.shape;
  const std::int64_t n = blockIdx.x;
  CtcBox& box = shared<CtcBox>();
  if (p.fused) {
    const CtcSequence s = ctc_sequence(a, n);
    if (p.ordered) ctc_order_labels(a, s);
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    for (std::int64_t t = threadIdx.x / kWarp; ctc_possible(s) && t < s.frames; t += warps) {
      ctc_read_frame(a, s, n, t, threadIdx.x % kWarp, kWarp, true);
    }
    if (threadIdx.x == 0) box.sequence = s;
  } else if (threadIdx.x == 0) {
    box.sequence = a.kept.sequences[n];
  }
  __syncthreads();
  const CtcSequence& s = box.sequence;
  const bool possible = ctc_possible(s);
  const std::int64_t states = 2 * s.labels + 1, frames = possible ? s.frames : 0;
  if (a.alignment) {
    ctc_fill_alignment(a, n, {0, frames, states, 2 * z.L + 1}, 0.f);
    ctc_fill_alignment(a, n, {frames, z.T, 0, 2 * z.L + 1}, 0.f);
  }
  const double negative_log = possible ? ctc_chains(p, s, n, box) : s.negative_log;
  const bool alive = !isinf(negative_log);
  if (threadIdx.x == 0) {
    CtcSequence& record = a.kept.sequences[n];
    record = s;
    record.negative_log = negative_log;
    record.alive = alive;
  }
  if (!possible || !p.wanted || isfinite(negative_log)) return;
  // Inputs that are no numbers give posteriors that are none; a probability of 0 gives none at all.
  const float value = alive ? NAN : 0.f;
  float* columns = ctc_columns(z, a.kept, s, n, 0);
  for (std::int64_t i = threadIdx.x; i < frames * (s.labels + 1); i += blockDim.x) columns[i] = value;
  if (a.alignment) ctc_fill_alignment(a, n, {0, frames, 0, states}, value);
}

}  // namespace seqgpu::kernels
