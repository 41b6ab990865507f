#pragma once

#include "device/cuda/queue.hpp"
#include "device/device.hpp"

// Everything but the recurrence and its relatives: descriptions and buffers become kernel arguments.
namespace seqgpu::device::cuda {

// One function per operation, f32. Arguments as in op/desc.hpp; all only enqueue.
#define SEQGPU_CUDA_OP(Desc) void compute(const op::Desc& desc, const Arguments& a)

// ops_elements.cpp
SEQGPU_CUDA_OP(FillDesc);
SEQGPU_CUDA_OP(CopyDesc);
SEQGPU_CUDA_OP(MatmulDesc);
SEQGPU_CUDA_OP(BinaryDesc);
SEQGPU_CUDA_OP(AffineDesc);
SEQGPU_CUDA_OP(ActivationDesc);
SEQGPU_CUDA_OP(ActivationBackwardDesc);
SEQGPU_CUDA_OP(DropoutDesc);
SEQGPU_CUDA_OP(OptimizerDesc);
SEQGPU_CUDA_OP(GradientNormDesc);

// ops_rows.cpp
SEQGPU_CUDA_OP(GatherDesc);
SEQGPU_CUDA_OP(GatherBackwardDesc);
SEQGPU_CUDA_OP(ConcatDesc);
SEQGPU_CUDA_OP(SliceDesc);
SEQGPU_CUDA_OP(SliceBackwardDesc);
SEQGPU_CUDA_OP(WindowDesc);
SEQGPU_CUDA_OP(WindowBackwardDesc);
SEQGPU_CUDA_OP(SoftmaxDesc);
SEQGPU_CUDA_OP(SoftmaxBackwardDesc);
SEQGPU_CUDA_OP(ReduceDesc);
SEQGPU_CUDA_OP(ReduceBackwardDesc);
SEQGPU_CUDA_OP(CrossEntropyDesc);
SEQGPU_CUDA_OP(CrossEntropyBackwardDesc);
SEQGPU_CUDA_OP(SquaredErrorDesc);
SEQGPU_CUDA_OP(SquaredErrorBackwardDesc);

#undef SEQGPU_CUDA_OP

// Argument access with the type spelled out.
template <class T = float>
const T* in(const Arguments& a, int slot) {
  return static_cast<const T*>(a.inputs[slot]);
}
template <class T = float>
T* out(const Arguments& a, int slot) {
  return static_cast<T*>(a.outputs[slot]);
}

}  // namespace seqgpu::device::cuda
