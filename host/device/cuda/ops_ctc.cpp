#include "device/cuda/ops.hpp"
#include "device/cuda/recurrent_frame.hpp"
#include "device/cuda/table.hpp"
#include "kernels/ctc/launch.hpp"

// CTC: descriptions and buffers become kernel arguments. All sizes are functions of the shape, never of lengths.
namespace seqgpu::device::cuda {
namespace {

/// Labels of all sequences, at most.
std::int64_t labels_of(const op::CtcDesc& d) { return d.concatenated ? d.L : d.N * d.L; }

kernels::CtcShape shape_of(const op::CtcDesc& d) {
  return {.T = d.T,
          .N = d.N,
          .C = d.C,
          .L = d.L,
          .blank = d.blank,
          .concatenated = d.concatenated,
          .from_log_probs = d.from_log_probs};
}

kernels::CtcKept take_kept(Carver& carver, const op::CtcDesc& d) {
  const std::int64_t labels = labels_of(d);
  kernels::CtcKept kept;
  kept.sequences = carver.take<kernels::CtcSequence>(d.N);
  kept.largest = carver.floats(d.T * d.N);
  kept.sum = carver.floats(d.T * d.N);
  kept.columns = carver.floats(d.T * (labels + d.N));
  kept.order = carver.take<std::int32_t>(labels);
  return kept;
}

kernels::CtcScratch take_scratch(Carver& carver, const op::CtcDesc& d) {
  const std::int64_t blocks = kernels::ctc_blocks(d.T);
  const std::int64_t columns = labels_of(d) + d.N;
  kernels::CtcScratch scratch;
  scratch.frames = carver.take<kernels::CtcFrame>(d.T * d.N);
  scratch.rows = carver.take<kernels::CtcPair>(blocks * columns);
  scratch.meeting = carver.take<kernels::CtcPair>(columns);
  scratch.powers = carver.take<std::int64_t>(blocks * d.N);
  const bool homes = d.L >= kernels::kCtcPositions;
  scratch.homes = carver.take<std::byte>(homes ? kernels::kCtcHomeBytes * (columns + d.N * kernels::kCtcPositions) : 0);
  return scratch;
}

std::size_t workspace_bytes(const op::AnyDesc& any, const Limits&) {
  const auto& d = std::get<op::CtcForwardDesc>(any);
  Carver carver;
  take_scratch(carver, d);
  if (!d.training) take_kept(carver, d);
  return carver.used;
}

std::size_t kept_bytes(const op::AnyDesc& any, const Limits&) {
  Carver carver;
  take_kept(carver, std::get<op::CtcForwardDesc>(any));
  return carver.used;
}

std::size_t no_workspace(const op::AnyDesc&, const Limits&) { return 0; }

template <class D>
std::string accepts(const op::AnyDesc& any, const Limits&) {
  const D& d = std::get<D>(any);
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 31;
  if (d.dtype == DType::f64) return "f64 runs on the CPU only";
  if (d.dtype != DType::f32) return std::string(to_string(d.dtype)) + " is not computed with";
  return d.N < kMostBlocks ? "" : "N " + std::to_string(d.N) + " >= " + std::to_string(kMostBlocks);
}

void forward(const op::AnyDesc& any, const Arguments& a) {
  const auto& d = std::get<op::CtcForwardDesc>(any);
  const Queue& queue = queue_of(a);
  Carver carver{static_cast<std::byte*>(a.workspace)};
  kernels::CtcForwardArgs args{};
  args.shape = shape_of(d);
  args.x = in(a, op::kCtcX);
  args.targets = in<std::int32_t>(a, op::kCtcTargets);
  args.target_lengths = in<std::int32_t>(a, op::kCtcTargetLengths);
  args.input_lengths = in<std::int32_t>(a, op::kCtcInputLengths);
  args.weights = in(a, op::kCtcWeights);
  args.loss = out(a, op::kCtcLoss);
  args.per_sequence = out(a, op::kCtcPerSequence);
  args.status = out<std::int32_t>(a, op::kCtcStatus);
  args.posteriors = out(a, op::kCtcPosteriors);
  args.alignment = out(a, op::kCtcAlignment);
  args.reduction = static_cast<kernels::CtcReduction>(d.reduction);
  args.impossible = static_cast<kernels::CtcImpossible>(d.impossible);
  args.training = d.training;
  args.scratch = take_scratch(carver, d);
  Carver kept{out<std::byte>(a, op::kCtcKept)};
  args.kept = take_kept(d.training ? kept : carver, d);
  args.faults = queue.faults;
  kernels::ctc_forward(args, queue.stream);
}

void backward(const op::AnyDesc& any, const Arguments& a) {
  const auto& d = std::get<op::CtcBackwardDesc>(any);
  Carver kept{const_cast<std::byte*>(in<std::byte>(a, op::kCtcReserve))};
  kernels::CtcBackwardArgs args{};
  args.shape = shape_of(d);
  args.x = in(a, op::kCtcX);
  args.targets = in<std::int32_t>(a, op::kCtcTargets);
  args.d_loss = in(a, op::kCtcDLoss);
  args.each = d.reduction == op::CtcDesc::Reduction::none;
  args.d_x = out(a, 0);
  args.kept = take_kept(kept, d);
  kernels::ctc_backward(args, queue_of(a).stream);
}

}  // namespace

void add_ctc(OpTable& table) {
  table.of<op::CtcForwardDesc>().push_back(
      {"meeting chains", accepts<op::CtcForwardDesc>, workspace_bytes, kept_bytes, forward});
  table.of<op::CtcBackwardDesc>().push_back({"rows", accepts<op::CtcBackwardDesc>, no_workspace, nullptr, backward});
}

}  // namespace seqgpu::device::cuda
