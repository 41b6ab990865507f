#pragma once

#include "kernels/ctc/sequence.cuh"

// From what each sequence's block found to the losses, in a fixed order.
//   work    one block
//   memory  a record a sequence
//   limits  N < 2^31
namespace seqgpu::kernels {

/// Reports what the CPU would have thrown: the first illegal sequence, or else the first impossible one.
__device__ inline void ctc_report(const CtcForwardArgs& a, std::int64_t total) {
  const CtcShape& z = a.shape;
  std::int64_t illegal = Smallest::identity<std::int64_t>(), impossible = illegal;
  for (std::int64_t n = threadIdx.x; n < z.N; n += blockDim.x) {
    const CtcSequence& s = a.kept.sequences[n];
    if (s.fault != CtcFault::none && n < illegal) illegal = n;
    if (s.frames < s.needed && n < impossible) impossible = n;
  }
  illegal = block_reduce(illegal, Smallest{});
  impossible = block_reduce(impossible, Smallest{});
  if (threadIdx.x != 0 || !a.faults.launch) return;
  const auto report = [&](std::int64_t n, CtcFault fault, std::int64_t first, std::int64_t second, std::int64_t third) {
    a.faults.launch->detail[0] = first;
    a.faults.launch->detail[1] = second;
    a.faults.launch->detail[2] = third;
    report_fault(a.faults, FaultyArgument::values, n, static_cast<int>(fault));
  };
  if (illegal < z.N) {
    const CtcSequence& s = a.kept.sequences[illegal];
    if (s.fault == CtcFault::label) {
      report(illegal, s.fault, s.at, s.bad, z.concatenated ? s.first + s.at : s.at);
    } else {
      report(illegal, s.fault, s.bad, 0, 0);
    }
  } else if (z.concatenated && z.N > 0 && total != z.L) {
    report(0, CtcFault::too_few, total, 0, 0);
  } else if (a.impossible == CtcImpossible::error && impossible < z.N) {
    const CtcSequence& s = a.kept.sequences[impossible];
    report(impossible, CtcFault::impossible, s.labels, s.needed, s.frames);
  }
}

__global__ void __launch_bounds__(kElementThreads, kElementBlocks) ctc_losses_kernel(CtcForwardArgs a) {
  const std::int64_t N = a.shape.N;
  std::int64_t frames = 0, labels = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += blockDim.x) {
    frames += a.kept.sequences[n].frames;
    labels += a.kept.sequences[n].labels;
  }
  frames = block_sum(frames);
  labels = block_sum(labels);
  ctc_report(a, labels);

  std::int64_t by = 1;
  if (a.reduction == CtcReduction::mean_by_target || a.reduction == CtcReduction::mean_by_batch) by = N;
  if (a.reduction == CtcReduction::mean_by_frames) by = frames;
  if (a.reduction == CtcReduction::mean_by_tokens) by = labels;
  const double divisor = static_cast<double>(by > 1 ? by : 1);
  double total = 0;
  for (std::int64_t n = threadIdx.x; n < N; n += blockDim.x) {
    CtcSequence& s = a.kept.sequences[n];
    const double own = a.reduction == CtcReduction::mean_by_target && s.labels > 1 ? static_cast<double>(s.labels) : 1.;
    s.factor = (a.weights ? static_cast<double>(a.weights[n]) : 1.) / (own * divisor);
    const bool counts = s.factor != 0 && !(isinf(s.negative_log) && a.impossible == CtcImpossible::zero);
    const double part = counts ? s.factor * s.negative_log : 0.;
    total += part;
    if (a.reduction == CtcReduction::none && a.loss) a.loss[n] = static_cast<float>(part);
    if (a.per_sequence) a.per_sequence[n] = static_cast<float>(s.negative_log);
    if (a.status) a.status[n] = s.frames < s.needed ? static_cast<std::int32_t>(s.needed) : 0;
  }
  total = block_sum(total);
  if (threadIdx.x == 0 && a.reduction != CtcReduction::none && a.loss) *a.loss = static_cast<float>(total);
}

}  // namespace seqgpu::kernels
