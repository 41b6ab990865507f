#pragma once

#include "kernels/recurrent/grid_plan.hpp"
#include "kernels/recurrent/launch.hpp"

// Launchers of the grid-persistent strategy. They only enqueue.
namespace seqgpu::kernels {

/// What a scan and its plan say of the workspace.
struct GridOrder {
  const std::int32_t* lengths = nullptr;  // [N], in [0, T]; null: all T
  std::int64_t T = 0, N = 0;
  std::int32_t* order = nullptr;   // [N] sequences by falling length, equal ones as they stand
  std::int32_t* length = nullptr;  // [N] their lengths
  unsigned* counters = nullptr;    // [groups][kGridCounterStride] set to 0
  int groups = 0;
};
void grid_order(const GridOrder& p, Stream stream);

/// Per cell; instances in grid_persistent.cu.in. `plan` is plan_grid()'s for this shape and device, forward and
/// backward each with its own; `workspace` is grid_workspace()'s, 256-byte aligned, uninitialised. A two-phase cell's
/// throw CudaError: the strategy does not accept it.
template <class Cell>
struct GridScan {
  static void forward(const ScanForward& scan, const GridPlan& plan, void* workspace, Stream stream);
  static void backward(const ScanBackward& scan, const GridPlan& plan, void* workspace, Stream stream);
  /// How many of the plan's blocks a multiprocessor of the current device runs at once.
  static int forward_blocks(const GridPlan& plan);
  static int backward_blocks(const GridPlan& plan);
};

}  // namespace seqgpu::kernels
