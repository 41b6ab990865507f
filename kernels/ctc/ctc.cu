#include "kernels/ctc/chains.cuh"
#include "kernels/ctc/losses.cuh"
#include "kernels/ctc/read.cuh"

namespace seqgpu::kernels {

void ctc_posteriors(const CtcForwardArgs& args, CUstream_st* stream);  // rows.cu

namespace {

/// A block reads its sequence's frames itself up to so many logits; beyond, all multiprocessors do, in a launch before.
/// Neither changes a bit. Not tuned on a GPU yet.
constexpr std::int64_t kFusedLogits = 16 * 1024;

}  // namespace

void ctc_forward(const CtcForwardArgs& args, CUstream_st* stream) {
  const CtcShape& z = args.shape;
  const auto blocks = static_cast<unsigned>(z.N);
  CtcChainsPass pass{args, false, args.training || args.posteriors, false};
  pass.wanted = pass.ordered || args.alignment;
  const int lanes = row_lanes(z.C);
  pass.fused = lanes <= kWarp && z.T * z.C <= kFusedLogits;
  if (z.N > 0) {
    if (!pass.fused) {
      launch(ctc_sequences_kernel, {.grid = dim3(blocks), .block = dim3(kElementThreads), .stream = stream}, args,
             pass.ordered);
      if (z.T > 0) launch(ctc_frames_kernel, row_groups_shape(z.T * z.N, lanes, stream), args, lanes);
    }
    // As many threads as the longest target may need.
    const std::int64_t positions = z.L + 1 < kCtcPositions ? z.L + 1 : kCtcPositions;
    unsigned threads = static_cast<unsigned>(2 * ((positions + kWarp - 1) / kWarp) + 1) * kWarp;
    if (pass.fused && threads < static_cast<unsigned>(kCtcThreads)) threads = static_cast<unsigned>(kCtcThreads);
    launch(ctc_chains_kernel, {.grid = dim3(blocks), .block = dim3(threads), .stream = stream}, pass);
  }
  launch(ctc_losses_kernel, {.grid = dim3(1), .block = dim3(kElementThreads), .stream = stream}, args);
  if (args.posteriors && z.T * z.N > 0) ctc_posteriors(args, stream);
}

}  // namespace seqgpu::kernels
