#include "device/cuda/blas.hpp"
#include "device/cuda/recurrent_frame.hpp"

// Stepwise: for each step one product of what recurs, and one kernel for everything else.
namespace seqgpu::device::cuda {

namespace {

using kernels::StepBackward;
using kernels::StepForward;

struct StepSizes {
  StepSizes(CellKind kind, std::int64_t n, std::int64_t h, std::int64_t r, bool projected)
      : cell(cells::traits_of(kind)),
        N(n),
        H(h),
        R(r),
        F(cell.two_phase ? cell.gates - 1 : cell.gates),
        projection(projected) {}
  explicit StepSizes(const op::RecurrentDesc& d)
      : StepSizes(d.cell, d.N, d.H, d.projection ? d.R : d.H, d.projection) {}
  explicit StepSizes(const kernels::Scan& p) : StepSizes(p.cell, p.N, p.H, p.R, p.projection != nullptr) {}

  cells::CellTraits cell;
  std::int64_t N, H, R, F;
  bool projection;
};

StepForward take_forward(Carver& carver, const StepSizes& z, bool masked) {
  StepForward w;
  w.states = z.cell.states;
  for (int s = 0; s < z.cell.states; ++s) w.state[s] = carver.floats(z.N * (s == 0 ? z.R : z.H));
  w.entering = masked ? carver.floats(z.N * z.R) : w.state[0];
  w.rh = carver.floats(z.N * z.H * z.F);
  if (z.cell.two_phase) w.second = carver.floats(z.N * z.H), w.rh_last = carver.floats(z.N * z.H);
  if (z.projection) w.cell_h = carver.floats(z.N * z.H), w.projected = carver.floats(z.N * z.R);
  return w;
}

/// @param apart  the rows of one step do not lie together in the gradients of all steps
StepBackward take_backward(Carver& carver, const StepSizes& z, bool apart) {
  StepBackward w;
  w.states = z.cell.states;
  for (int s = 0; s < z.cell.states; ++s) w.carry[s] = carver.floats(z.N * (s == 0 ? z.R : z.H));
  w.d_entering = carver.floats(z.N * z.R);
  if (apart) w.d_rh = carver.floats(z.N * z.H * z.F);
  if (z.cell.two_phase) w.d_second = carver.floats(z.N * z.H);
  if (z.cell.two_phase && apart) w.d_last = carver.floats(z.N * z.H);
  if (z.projection) w.d_cell_h = carver.floats(z.N * z.H);
  if (z.projection && apart) w.d_projected = carver.floats(z.N * z.R);
  return w;
}

/// out [N, n] = in [N, k] weight^T
void multiply_transposed(const kernels::Scan& p, const float* in, std::int64_t k, const float* weight, std::int64_t n,
                         float* out, const Queue& queue) {
  gemm(queue, {.m = p.N,
               .n = n,
               .k = k,
               .a = in,
               .a_row = k,
               .b = weight,
               .b_row = k,
               .b_transposed = true,
               .c = out,
               .c_row = n,
               .precision = p.precision});
}

/// out [N, n] = in [N, k] weight, added to what is there with beta 1
void multiply(const kernels::Scan& p, const float* in, std::int64_t k, const float* weight, std::int64_t n, float* out,
              float beta, const Queue& queue) {
  gemm(queue, {.m = p.N,
               .n = n,
               .k = k,
               .a = in,
               .a_row = k,
               .b = weight,
               .b_row = n,
               .c = out,
               .c_row = n,
               .beta = beta,
               .precision = p.precision});
}

template <class Cell>
void run_forward(const kernels::ScanForward& p, const StepForward& w, const Queue& queue) {
  using Kernels = kernels::StepKernels<Cell>;
  constexpr std::int64_t F = Cell::kTwoPhase ? Cell::kGates - 1 : Cell::kGates;
  kernels::start_forward(p, w, queue.stream);
  for (std::int64_t s = 0; s < p.T; ++s) {
    multiply_transposed(p, w.entering, p.R, p.w_hh, p.H * F, w.rh, queue);
    if constexpr (Cell::kTwoPhase) {
      Kernels::enter(p, w, s, queue.stream);
      multiply_transposed(p, w.second, p.H, p.w_last, p.H, w.rh_last, queue);
    }
    Kernels::forward(p, w, s, queue.stream);
    if (!p.projection) continue;
    multiply_transposed(p, w.cell_h, p.H, p.projection, p.R, w.projected, queue);
    kernels::step_project(p, w, s, queue.stream);
  }
}

template <class Cell>
void run_backward(const kernels::ScanBackward& p, const StepBackward& w, const Queue& queue) {
  using Kernels = kernels::StepKernels<Cell>;
  constexpr std::int64_t F = Cell::kTwoPhase ? Cell::kGates - 1 : Cell::kGates;
  kernels::start_backward(p, w, queue.stream);
  for (std::int64_t s = p.T; s-- > 0;) {
    const std::int64_t row = (p.reverse ? p.T - 1 - s : s) * p.N;  // of the step's first, where they lie together
    const auto operand = [row](const float* own, const float* all, std::int64_t width) {
      return own ? own : all + row * width;
    };
    if (p.projection) {
      kernels::step_project_backward(p, w, s, queue.stream);
      multiply(p, operand(w.d_projected, p.d_projected, p.R), p.R, p.projection, p.H, w.d_cell_h, 0, queue);
    }
    Kernels::backward(p, w, s, queue.stream);
    if constexpr (Cell::kTwoPhase) {
      multiply(p, operand(w.d_last, p.d_last, p.H), p.H, p.w_last, p.R, w.d_second, 0, queue);
      Kernels::backward_enter(p, w, s, queue.stream);
    }
    multiply(p, operand(w.d_rh, p.d_rh, p.H * F), p.H * F, p.w_hh, p.R, w.d_entering, Cell::kTwoPhase ? 1 : 0, queue);
  }
  kernels::finish_backward(p, w, queue.stream);
}

std::string accepts(const op::RecurrentDesc&, Pass, const Limits&) { return {}; }

std::size_t workspace_bytes(const op::RecurrentDesc& desc, Pass pass, const Limits&) {
  Carver carver;
  if (pass == Pass::forward)
    take_forward(carver, StepSizes(desc), desc.training && desc.recurrent_dropout > 0);
  else  // whether there are lengths is known at the launch
    take_backward(carver, StepSizes(desc), desc.direction == Direction::reverse);
  return carver.used;
}

void forward(const kernels::ScanForward& p, void* workspace, const Queue& queue) {
  Carver carver{static_cast<std::byte*>(workspace)};
  const StepForward w = take_forward(carver, StepSizes(p), p.mask != nullptr);
  cells::with_cell(p.cell, [&](auto cell) { run_forward<decltype(cell)>(p, w, queue); });
}

void backward(const kernels::ScanBackward& p, void* workspace, const Queue& queue) {
  Carver carver{static_cast<std::byte*>(workspace)};
  const StepBackward w = take_backward(carver, StepSizes(p), p.reverse && p.lengths != nullptr);
  cells::with_cell(p.cell, [&](auto cell) { run_backward<decltype(cell)>(p, w, queue); });
}

}  // namespace

const ScanStrategy kStepwise = {"stepwise", accepts, workspace_bytes, forward, backward};

}  // namespace seqgpu::device::cuda
