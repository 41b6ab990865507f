#include "kernels/cells/all_cells.hpp"
#include "kernels/recurrent/cluster_instances.hpp"
#include "kernels/recurrent/cluster_launch.hpp"

// Picks the instance; each cell and precision is compiled in a file of its own.
namespace seqgpu::kernels {

void cluster_forward(const ScanForward* scans, int count, const ClusterPlan& plan, CUstream_st* stream) {
  cells::with_cell(scans[0].cell, [&]<class Cell>(Cell) {
    if (plan.precision == Precision::bf16)
      launch_cluster_forward<Cell, Precision::bf16>(scans, count, plan, stream);
    else
      launch_cluster_forward<Cell, Precision::f32>(scans, count, plan, stream);
  });
}

void cluster_backward(const ScanBackward* scans, int count, const ClusterPlan& plan, CUstream_st* stream) {
  cells::with_cell(scans[0].cell, [&]<class Cell>(Cell) {
    if (plan.precision == Precision::bf16)
      launch_cluster_backward<Cell, Precision::bf16>(scans, count, plan, stream);
    else
      launch_cluster_backward<Cell, Precision::f32>(scans, count, plan, stream);
  });
}

int cluster_forward_at_once(CellKind cell, const ClusterPlan& plan) {
  int clusters = 0;
  cells::with_cell(cell, [&]<class Cell>(Cell) {
    clusters = plan.precision == Precision::bf16 ? count_cluster_forward<Cell, Precision::bf16>(plan)
                                                 : count_cluster_forward<Cell, Precision::f32>(plan);
  });
  return clusters;
}

int cluster_backward_at_once(CellKind cell, const ClusterPlan& plan) {
  int clusters = 0;
  cells::with_cell(cell, [&]<class Cell>(Cell) {
    clusters = plan.precision == Precision::bf16 ? count_cluster_backward<Cell, Precision::bf16>(plan)
                                                 : count_cluster_backward<Cell, Precision::f32>(plan);
  });
  return clusters;
}

}  // namespace seqgpu::kernels
