#include "kernels/gather/gather_backward.cuh"

namespace seqgpu::kernels {
namespace {

std::int64_t tiles_of(std::int64_t count) { return (count + kTile - 1) / kTile; }

/// The keys are 0 .. V.
int sort_passes(std::int64_t V) {
  int passes = 1;
  while (V >> (8 * passes) != 0) ++passes;
  return passes;
}

}  // namespace

// Two copies of ids and positions, and the offsets.
std::size_t gather_backward_workspace(std::int64_t, std::int64_t count) {
  return static_cast<std::size_t>(4 * count + kDigits * tiles_of(count)) * sizeof(std::int32_t);
}

void gather_backward(const GatherBackwardArgs& args, CUstream_st* stream) {
  const std::int64_t count = args.count, elements = args.V * args.E;
  if (elements == 0) return;
  check(cudaMemsetAsync(args.dtable, 0, static_cast<std::size_t>(elements) * sizeof(float), stream), "cudaMemsetAsync");
  if (count == 0) return;
  auto* workspace = static_cast<std::int32_t*>(args.workspace);
  SortPass p{};
  p.ids = args.ids;
  p.offsets = workspace + 4 * count;
  p.count = count;
  p.V = args.V;
  p.faults = args.faults;
  const std::int64_t tiles = tiles_of(count);
  const LaunchShape shape{.grid = dim3(static_cast<unsigned>(tiles)), .block = dim3(kElementThreads), .stream = stream};
  for (int pass = 0; pass < sort_passes(args.V); ++pass) {
    p.next_ids = workspace + 2 * count * (pass % 2);
    p.next_positions = p.next_ids + count;
    p.shift = 8 * pass;
    launch(count_digits_kernel, shape, p);
    launch(scan_offsets_kernel, {.grid = dim3(1), .block = dim3(kScanThreads), .stream = stream}, p.offsets,
           kDigits * tiles);
    launch(place_digits_kernel, shape, p);
    p.ids = p.next_ids;
    p.positions = p.next_positions;
  }
  const SumRuns runs{p.ids, p.positions, args.dy, args.dtable, args.V, args.E, count};
  launch(sum_runs_kernel, {.grid = dim3(blocks_for(count, kWarps)), .block = dim3(kElementThreads), .stream = stream},
         runs);
}

}  // namespace seqgpu::kernels
