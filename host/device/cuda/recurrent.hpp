#pragma once

#include <cstddef>
#include <string>

#include "device/cuda/queue.hpp"
#include "device/device.hpp"
#include "kernels/recurrent/scan.hpp"
#include "op/recurrent_desc.hpp"

// The recurrent layer on CUDA. A frame that all strategies share (recurrent_forward.cpp, recurrent_backward.cpp)
// interleaves the weights, runs the large products and hands the recurrence itself to a strategy.
namespace seqgpu::device::cuda {

enum class Pass { forward, backward };

/// One way to run the recurrence. The frame has dealt with f64, illegal lengths (those it hands on lie in [0, T]) and
/// T, N or H of 0, so none of these functions meets them.
struct ScanStrategy {
  const char* name;
  /// Empty: yes; else the reason why not, such as "H 2000 > 1024".
  std::string (*accepts)(const op::RecurrentDesc&, Pass, const Limits&);
  /// Of the memory that forward or backward get; uninitialised, 64-byte aligned.
  std::size_t (*workspace_bytes)(const op::RecurrentDesc&, Pass, const Limits&);
  /// Both enqueue only: no synchronisation, no allocation, legal while a stream is captured.
  void (*forward)(const kernels::ScanForward&, void* workspace, const Queue&);
  void (*backward)(const kernels::ScanBackward&, void* workspace, const Queue&);
  /// Both directions of a layer in one launch, with a workspace each; null: one after the other.
  void (*forward_pair)(const kernels::ScanForward (&)[2], void* const (&workspaces)[2], const Queue&) = nullptr;
  void (*backward_pair)(const kernels::ScanBackward (&)[2], void* const (&workspaces)[2], const Queue&) = nullptr;
};

extern const ScanStrategy kClusterPersistent;  // recurrent_cluster.cpp
extern const ScanStrategy kGridPersistent;     // recurrent_grid.cpp
extern const ScanStrategy kStepwise;           // recurrent_stepwise.cpp; accepts everything

/// Rows for RecurrentForwardDesc and RecurrentBackwardDesc, one for each strategy, best first.
void add_recurrent(OpTable& table);

}  // namespace seqgpu::device::cuda
