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

}  // namespace seqgpu::kernels
