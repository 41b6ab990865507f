#include "device/cuda/ops.hpp"
#include "kernels/gather/launch.hpp"
#include "kernels/loss/launch.hpp"
#include "kernels/reduce/launch.hpp"
#include "kernels/shape/launch.hpp"
#include "kernels/softmax/launch.hpp"

// Operations on rows: of tables, of parts of a tensor, softmax, reductions and losses.
namespace seqgpu::device::cuda {

void compute(const op::GatherDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::gather({in(a, 0), in<std::int32_t>(a, 1), out(a, 0), d.vocabulary, d.width, d.count, queue.faults},
                  queue.stream);
}

void compute(const op::GatherBackwardDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::gather_backward(
      {in<std::int32_t>(a, 0), in(a, 1), out(a, 0), d.vocabulary, d.width, d.count, a.workspace, queue.faults},
      queue.stream);
}

void compute(const op::ConcatDesc& d, const Arguments& a) {
  std::int64_t total = 0;
  for (const std::int64_t extent : d.extents) total += extent * d.inner;
  kernels::CopyRowsArgs rows{};
  rows.rows = d.outer;
  float* to = out(a, 0);
  for (std::size_t i = 0; i < d.extents.size(); ++i) {
    const std::int64_t width = d.extents[i] * d.inner;
    rows.parts[rows.count++] = {in(a, static_cast<int>(i)), to, width, total, width};
    to += width;
    if (rows.count == kernels::kRowsParts || i + 1 == d.extents.size()) {
      kernels::copy_rows(rows, queue_of(a).stream);
      rows.count = 0;
    }
  }
}

void compute(const op::SliceDesc& d, const Arguments& a) {
  const std::int64_t width = (d.end - d.begin) * d.inner;
  kernels::CopyRowsArgs rows{};
  rows.parts[0] = {in(a, 0) + d.begin * d.inner, out(a, 0), d.extent * d.inner, width, width};
  rows.count = 1;
  rows.rows = d.outer;
  kernels::copy_rows(rows, queue_of(a).stream);
}

void compute(const op::SliceBackwardDesc& d, const Arguments& a) {
  kernels::pad_rows({in(a, 0), out(a, 0), d.outer, d.extent * d.inner, d.begin * d.inner, d.end * d.inner},
                    queue_of(a).stream);
}

void compute(const op::WindowDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::window({in(a, 0), in<std::int32_t>(a, 1), out(a, 0), d.T, d.N, d.E, d.radius, queue.faults}, queue.stream);
}

void compute(const op::WindowBackwardDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::window_backward({in(a, 0), in<std::int32_t>(a, 1), out(a, 0), d.T, d.N, d.E, d.radius, queue.faults},
                           queue.stream);
}

void compute(const op::SoftmaxDesc& d, const Arguments& a) {
  kernels::softmax({in(a, 0), out(a, 0), d.rows, d.cols, d.log}, queue_of(a).stream);
}

void compute(const op::SoftmaxBackwardDesc& d, const Arguments& a) {
  kernels::softmax_backward({in(a, 0), in(a, 1), out(a, 0), d.rows, d.cols, d.log}, queue_of(a).stream);
}

namespace {

kernels::ReduceKind reduce_kind(op::ReduceDesc::Kind kind) {
  switch (kind) {
    case op::ReduceDesc::Kind::sum: return kernels::ReduceKind::sum;
    case op::ReduceDesc::Kind::mean: return kernels::ReduceKind::mean;
    case op::ReduceDesc::Kind::max: return kernels::ReduceKind::max;
  }
  return kernels::ReduceKind::sum;
}

}  // namespace

void compute(const op::ReduceDesc& d, const Arguments& a) {
  kernels::reduce({in(a, 0), out(a, 0), d.outer, d.extent, d.inner, reduce_kind(d.kind), a.workspace},
                  queue_of(a).stream);
}

void compute(const op::ReduceBackwardDesc& d, const Arguments& a) {
  kernels::reduce_backward({in(a, 0), in(a, 1), out(a, 0), d.outer, d.extent, d.inner, reduce_kind(d.kind)},
                           queue_of(a).stream);
}

void compute(const op::CrossEntropyDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::cross_entropy({.logits = in(a, 0),
                          .labels = in<std::int32_t>(a, 1),
                          .lengths = in<std::int32_t>(a, 2),
                          .loss = out(a, 0),
                          .lse = out(a, 1),
                          .rows = d.rows,
                          .N = d.N,
                          .K = d.K,
                          .ignore_index = d.ignore_index,
                          .smoothing = d.smoothing,
                          .workspace = a.workspace,
                          .faults = queue.faults},
                         queue.stream);
}

void compute(const op::CrossEntropyBackwardDesc& d, const Arguments& a) {
  kernels::cross_entropy_backward({.logits = in(a, 0),
                                   .labels = in<std::int32_t>(a, 1),
                                   .lengths = in<std::int32_t>(a, 2),
                                   .lse = in(a, 3),
                                   .dloss = in(a, 4),
                                   .dlogits = out(a, 0),
                                   .rows = d.rows,
                                   .N = d.N,
                                   .K = d.K,
                                   .ignore_index = d.ignore_index,
                                   .smoothing = d.smoothing,
                                   .workspace = a.workspace},
                                  queue_of(a).stream);
}

void compute(const op::SquaredErrorDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::squared_error({.x = in(a, 0),
                          .target = in(a, 1),
                          .lengths = in<std::int32_t>(a, 2),
                          .loss = out(a, 0),
                          .rows = d.rows,
                          .N = d.N,
                          .width = d.width,
                          .workspace = a.workspace,
                          .faults = queue.faults},
                         queue.stream);
}

void compute(const op::SquaredErrorBackwardDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::squared_error_backward({.x = in(a, 0),
                                   .target = in(a, 1),
                                   .lengths = in<std::int32_t>(a, 2),
                                   .dloss = in(a, 3),
                                   .dx = out(a, 0),
                                   .rows = d.rows,
                                   .N = d.N,
                                   .width = d.width,
                                   .workspace = a.workspace,
                                   .faults = queue.faults},
                                  queue.stream);
}

}  // namespace seqgpu::device::cuda
