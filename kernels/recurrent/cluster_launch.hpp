#pragma once

#include "kernels/recurrent/cluster_plan.hpp"
#include "kernels/recurrent/scan.hpp"

struct CUstream_st;

namespace seqgpu::kernels {

/// Runs one scan, or the two directions of a layer, in one launch. Both must have the same cell, T, N and H.
/// @param count  1 or 2
/// @param plan  of plan_cluster() for this shape; must not be a refusal
/// @throws CudaError
void cluster_forward(const ScanForward* scans, int count, const ClusterPlan& plan, CUstream_st* stream);
void cluster_backward(const ScanBackward* scans, int count, const ClusterPlan& plan, CUstream_st* stream);

/// How many clusters of the plan the current device runs at once. @throws CudaError
int cluster_forward_at_once(CellKind cell, const ClusterPlan& plan);
int cluster_backward_at_once(CellKind cell, const ClusterPlan& plan);

}  // namespace seqgpu::kernels
