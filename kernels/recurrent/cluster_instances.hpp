#pragma once

#include "kernels/recurrent/cluster_plan.hpp"
#include "kernels/recurrent/scan.hpp"

struct CUstream_st;

namespace seqgpu::kernels {

/// The functions of cluster_launch.hpp for one cell and precision. Defined where the kernels are
/// (cluster_forward.cuh, cluster_backward.cuh) and compiled in cluster_*.cu.in, a file each.
template <class Cell, Precision precision>
void launch_cluster_forward(const ScanForward* scans, int count, const ClusterPlan& plan, CUstream_st* stream);
template <class Cell, Precision precision>
void launch_cluster_backward(const ScanBackward* scans, int count, const ClusterPlan& plan, CUstream_st* stream);
template <class Cell, Precision precision>
int count_cluster_forward(const ClusterPlan& plan);
template <class Cell, Precision precision>
int count_cluster_backward(const ClusterPlan& plan);

}  // namespace seqgpu::kernels
