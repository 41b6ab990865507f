#include "kernels/ctc/rows.cuh"

namespace seqgpu::kernels {
namespace {

void launch_rows(const CtcRowsPass& pass, CUstream_st* stream) {
  if (pass.shape.T * pass.shape.N == 0) return;
  launch(ctc_rows_kernel, row_groups_shape(pass.shape.T * pass.shape.N, pass.lanes, stream), pass);
}

}  // namespace

void ctc_posteriors(const CtcForwardArgs& a, CUstream_st* stream) {
  launch_rows({.shape = a.shape,
               .kept = a.kept,
               .x = nullptr,
               .targets = a.targets,
               .d_loss = nullptr,
               .each = false,
               .y = a.posteriors,
               .lanes = row_lanes(a.shape.C)},
              stream);
}

void ctc_backward(const CtcBackwardArgs& a, CUstream_st* stream) {
  launch_rows({.shape = a.shape,
               .kept = a.kept,
               .x = a.shape.from_log_probs ? nullptr : a.x,
               .targets = a.targets,
               .d_loss = a.d_loss,
               .each = a.each,
               .y = a.d_x,
               .lanes = row_lanes(a.shape.C)},
              stream);
}

}  // namespace seqgpu::kernels
