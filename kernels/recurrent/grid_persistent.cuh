#pragma once

#include "kernels/recurrent/grid_backward.cuh"
#include "kernels/recurrent/grid_forward.cuh"

// The launchers of the grid-persistent strategy for one cell.
namespace seqgpu::kernels {

namespace detail {

template <class Cell, class AnyScan>
GridArgs<AnyScan> prepare_grid(const AnyScan& scan, const GridPlan& plan, bool backward, void* workspace,
                               Stream stream) {
  const GridWorkspace at = grid_workspace(
      plan, {.gates = Cell::kGates, .states = Cell::kStates, .N = scan.N, .H = scan.H, .backward = backward});
  auto* const base = static_cast<std::byte*>(workspace);
  GridOrder order;
  order.lengths = scan.lengths;
  order.T = scan.T, order.N = scan.N;
  order.order = reinterpret_cast<std::int32_t*>(base + at.order);
  order.length = reinterpret_cast<std::int32_t*>(base + at.length);
  order.counters = reinterpret_cast<unsigned*>(base + at.counters);
  order.groups = plan.groups;
  grid_order(order, stream);
  return {scan,
          plan,
          order.order,
          order.length,
          order.counters,
          reinterpret_cast<float*>(base + at.exchange),
          reinterpret_cast<float*>(base + at.carry)};
}

inline LaunchShape grid_shape(const GridPlan& plan, Stream stream) {
  return {.grid = dim3(static_cast<unsigned>(plan.blocks())),
          .block = dim3(static_cast<unsigned>(plan.threads)),
          .shared_bytes = static_cast<std::size_t>(plan.shared_bytes),
          .stream = stream,
          .cooperative = true};
}

inline void refuse_two_phases() {
  check(cudaErrorNotSupported, "grid-persistent scan of a cell with two products a step");
}

template <class Cell>
auto grid_forward_of(const GridPlan& plan) {
  return plan.bf16 ? grid_forward_kernel<Cell, WeightBf16> : grid_forward_kernel<Cell, WeightF32>;
}
template <class Cell>
auto grid_backward_of(const GridPlan& plan) {
  return plan.bf16 ? grid_backward_kernel<Cell, WeightBf16> : grid_backward_kernel<Cell, WeightF32>;
}

}  // namespace detail

template <class Cell>
void GridScan<Cell>::forward(const ScanForward& scan, const GridPlan& plan, void* workspace, Stream stream) {
  if constexpr (Cell::kTwoPhase) {
    detail::refuse_two_phases();
  } else {
    const auto args = detail::prepare_grid<Cell>(scan, plan, false, workspace, stream);
    launch(detail::grid_forward_of<Cell>(plan), detail::grid_shape(plan, stream), args);
  }
}

template <class Cell>
void GridScan<Cell>::backward(const ScanBackward& scan, const GridPlan& plan, void* workspace, Stream stream) {
  if constexpr (Cell::kTwoPhase) {
    detail::refuse_two_phases();
  } else {
    const auto args = detail::prepare_grid<Cell>(scan, plan, true, workspace, stream);
    launch(detail::grid_backward_of<Cell>(plan), detail::grid_shape(plan, stream), args);
  }
}

template <class Cell>
int GridScan<Cell>::forward_blocks(const GridPlan& plan) {
  if constexpr (Cell::kTwoPhase) {
    detail::refuse_two_phases();
    return 0;
  } else {
    return blocks_per_multiprocessor(detail::grid_forward_of<Cell>(plan), detail::grid_shape(plan, nullptr));
  }
}

template <class Cell>
int GridScan<Cell>::backward_blocks(const GridPlan& plan) {
  if constexpr (Cell::kTwoPhase) {
    detail::refuse_two_phases();
    return 0;
  } else {
    return blocks_per_multiprocessor(detail::grid_backward_of<Cell>(plan), detail::grid_shape(plan, nullptr));
  }
}

}  // namespace seqgpu::kernels
