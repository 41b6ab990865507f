#include <cstddef>

#include "device/cuda/blas.hpp"
#include "device/cuda/check.hpp"
#include "device/cuda/ops.hpp"
#include "kernels/elementwise/launch.hpp"
#include "kernels/math/philox.hpp"
#include "kernels/optimizer/launch.hpp"
#include "kernels/shape/launch.hpp"

// Elementwise operations, the product, and the end of a training step.
namespace seqgpu::device::cuda {

void compute(const op::FillDesc& d, const Arguments& a) {
  kernels::fill({out(a, 0), d.count, static_cast<float>(d.value)}, queue_of(a).stream);
}

void compute(const op::CopyDesc& d, const Arguments& a) {
  const std::size_t bytes = static_cast<std::size_t>(d.count) * size_of(d.dtype);
  if (bytes == 0) return;
  check(cudaMemcpyAsync(a.outputs[0], a.inputs[0], bytes, cudaMemcpyDeviceToDevice, queue_of(a).stream),
        "copying a tensor");
}

void compute(const op::MatmulDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  const float* bias = in(a, 2);
  if (bias) {  // every row starts as the bias, and the product is added to it
    kernels::CopyRowsArgs rows{};
    rows.parts[0] = {bias, out(a, 0), 0, d.n, d.n};
    rows.count = 1;
    rows.rows = d.m;
    kernels::copy_rows(rows, queue.stream);
  }
  Gemm g;
  g.m = d.m;
  g.n = d.n;
  g.k = d.k;
  g.a = in(a, 0);
  g.a_row = d.transpose_a ? d.m : d.k;
  g.a_transposed = d.transpose_a;
  g.b = in(a, 1);
  g.b_row = d.transpose_b ? d.k : d.n;
  g.b_transposed = d.transpose_b;
  g.c = out(a, 0);
  g.c_row = d.n;
  g.beta = bias ? 1.f : 0.f;
  gemm(queue, g);
}

void compute(const op::BinaryDesc& d, const Arguments& a) {
  const bool product = d.kind == op::BinaryDesc::Kind::mul;
  kernels::binary({in(a, 0), in(a, 1), out(a, 0), d.count, d.inner, product}, queue_of(a).stream);
}

void compute(const op::AffineDesc& d, const Arguments& a) {
  kernels::affine({in(a, 0), out(a, 0), d.count, d.scale, d.shift}, queue_of(a).stream);
}

void compute(const op::ActivationDesc& d, const Arguments& a) {
  kernels::activation({in(a, 0), out(a, 0), d.count, d.activation}, queue_of(a).stream);
}

void compute(const op::ActivationBackwardDesc& d, const Arguments& a) {
  kernels::activation_backward({in(a, 0), in(a, 1), out(a, 0), d.count, d.activation}, queue_of(a).stream);
}

void compute(const op::DropoutDesc& d, const Arguments& a) {
  kernels::dropout({.x = in(a, 0),
                    .y = out(a, 0),
                    .count = d.count,
                    .period = d.period,
                    .rate = d.rate,
                    .scale = 1.f / (1.f - d.rate),
                    .key = math::philox_key(d.seed, d.stream),
                    .step = in<std::int64_t>(a, 1)},
                   queue_of(a).stream);
}

static_assert(sizeof(kernels::StepControl) == sizeof(op::Control));
static_assert(offsetof(kernels::StepControl, step) == offsetof(op::Control, step));
static_assert(offsetof(kernels::StepControl, updates) == offsetof(op::Control, updates));
static_assert(offsetof(kernels::StepControl, skipped) == offsetof(op::Control, skipped));
static_assert(offsetof(kernels::StepControl, finite) == offsetof(op::Control, finite));
static_assert(offsetof(kernels::StepControl, norm) == offsetof(op::Control, norm));
static_assert(offsetof(kernels::StepControl, rate_factor) == offsetof(op::Control, rate_factor));

void compute(const op::GradientNormDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::gradient_norm({in(a, 0), d.count, out<kernels::StepControl>(a, 0), a.workspace, queue.faults}, queue.stream);
}

namespace {

kernels::UpdateKind update_kind(op::OptimizerDesc::Kind kind) {
  switch (kind) {
    case op::OptimizerDesc::Kind::sgd: return kernels::UpdateKind::sgd;
    case op::OptimizerDesc::Kind::momentum: return kernels::UpdateKind::momentum;
    case op::OptimizerDesc::Kind::rms_prop: return kernels::UpdateKind::rms_prop;
    case op::OptimizerDesc::Kind::adagrad: return kernels::UpdateKind::adagrad;
    case op::OptimizerDesc::Kind::adam: return kernels::UpdateKind::adam;
    case op::OptimizerDesc::Kind::adam_w: return kernels::UpdateKind::adam_w;
  }
  return kernels::UpdateKind::sgd;
}

}  // namespace

void compute(const op::OptimizerDesc& d, const Arguments& a) {
  const Queue& queue = queue_of(a);
  kernels::update({.kind = update_kind(d.kind),
                   .nesterov = d.nesterov,
                   .count = d.count,
                   .rate = d.rate,
                   .beta1 = d.beta1,
                   .beta2 = d.beta2,
                   .epsilon = d.epsilon,
                   .clip_norm = d.clip_norm,
                   .clip_value = d.clip_value,
                   .weight_decay = d.weight_decay,
                   .ema_decay = d.ema_decay,
                   .gradient = in(a, 0),
                   .parameters = out(a, 0),
                   .moment1 = out(a, 1),
                   .moment2 = out(a, 2),
                   .average = out(a, 3),
                   .control = out<kernels::StepControl>(a, 4),
                   .workspace = a.workspace,
                   .faults = queue.faults},
                  queue.stream);
}

}  // namespace seqgpu::device::cuda
