#include "device/cuda/ask_device.hpp"
#include "device/cuda/recurrent.hpp"
#include "kernels/cells/all_cells.hpp"
#include "kernels/recurrent/grid_launch.hpp"

// Grid-persistent: one cooperative launch for all steps, the recurrent weights spread over the shared memory of all
// multiprocessors, one exchange through L2 a step.
namespace seqgpu::device::cuda {

namespace {

using kernels::GridDecision;
using kernels::GridPlan;
using kernels::GridShape;

GridShape shape_of(CellKind kind, Precision precision, std::int64_t N, std::int64_t H, Pass pass) {
  const cells::CellTraits cell = cells::traits_of(kind);
  return {.gates = cell.gates,
          .states = cell.states,
          .N = N,
          .H = H,
          .backward = pass == Pass::backward,
          .bf16 = precision == Precision::bf16};
}
GridShape shape_of(const op::RecurrentDesc& d, Pass pass) { return shape_of(d.cell, d.precision, d.N, d.H, pass); }
GridShape shape_of(const kernels::Scan& p, Pass pass) { return shape_of(p.cell, p.precision, p.N, p.H, pass); }

GridDecision decide(const GridShape& shape, const Limits& limits) {
  return kernels::plan_grid(shape, {.compute_capability = limits.compute_capability,
                                    .multiprocessors = limits.multiprocessors,
                                    .shared_bytes_per_block = limits.shared_bytes_per_block});
}

/// Registers and static shared memory are the compiler's: only CUDA knows what of the plan runs at once.
std::string check_resident(CellKind kind, Pass pass, const GridPlan& plan, const Limits& limits) {
  return ask_device(limits, [&]() -> std::string {
    int each = 0;
    cells::with_cell(kind, [&](auto cell) {
      using Scan = kernels::GridScan<decltype(cell)>;
      each = pass == Pass::forward ? Scan::forward_blocks(plan) : Scan::backward_blocks(plan);
    });
    const int all = each * limits.multiprocessors;
    if (plan.blocks() <= all) return {};
    return "all " + std::to_string(plan.blocks()) + " blocks must run at once, a multiprocessor runs " +
           std::to_string(each) + " and the device " + std::to_string(all);
  });
}

std::string accepts(const op::RecurrentDesc& d, Pass pass, const Limits& limits) {
  if (cells::traits_of(d.cell).two_phase) return std::string(to_string(d.cell)) + " has two products a step";
  if (d.projection) return "a projection is a second product a step";
  if (d.zoneout_hidden > 0 || d.zoneout_cell > 0) return "zoneout";
  if (d.N == 0 || d.H == 0) return {};
  const GridDecision decision = decide(shape_of(d, pass), limits);
  return decision.reason.empty() ? check_resident(d.cell, pass, decision.plan, limits) : decision.reason;
}

std::size_t workspace_bytes(const op::RecurrentDesc& d, Pass pass, const Limits& limits) {
  const GridShape shape = shape_of(d, pass);
  return kernels::grid_workspace(decide(shape, limits).plan, shape).bytes;
}

void forward(const kernels::ScanForward& p, void* workspace, const Queue& queue) {
  const GridPlan plan = decide(shape_of(p, Pass::forward), *queue.limits).plan;
  cells::with_cell(p.cell,
                   [&](auto cell) { kernels::GridScan<decltype(cell)>::forward(p, plan, workspace, queue.stream); });
}

void backward(const kernels::ScanBackward& p, void* workspace, const Queue& queue) {
  const GridPlan plan = decide(shape_of(p, Pass::backward), *queue.limits).plan;
  cells::with_cell(p.cell,
                   [&](auto cell) { kernels::GridScan<decltype(cell)>::backward(p, plan, workspace, queue.stream); });
}

}  // namespace

const ScanStrategy kGridPersistent = {"grid-persistent", accepts, workspace_bytes, forward, backward};

}  // namespace seqgpu::device::cuda
