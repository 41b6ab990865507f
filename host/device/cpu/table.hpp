#pragma once

#include "device/device.hpp"

namespace seqgpu::device::cpu {

const OpTable& table();

// One function per operation, for T in float and double. Arguments as in op/desc.hpp.
#define SEQGPU_CPU_OP(Desc) \
  template <class T>        \
  void compute(const op::Desc& desc, const Arguments& a)

SEQGPU_CPU_OP(FillDesc);
SEQGPU_CPU_OP(CopyDesc);
SEQGPU_CPU_OP(GatherDesc);
SEQGPU_CPU_OP(GatherBackwardDesc);
SEQGPU_CPU_OP(MatmulDesc);
SEQGPU_CPU_OP(BinaryDesc);
SEQGPU_CPU_OP(AffineDesc);
SEQGPU_CPU_OP(ActivationDesc);
SEQGPU_CPU_OP(ActivationBackwardDesc);
SEQGPU_CPU_OP(ConcatDesc);
SEQGPU_CPU_OP(SliceDesc);
SEQGPU_CPU_OP(SliceBackwardDesc);
SEQGPU_CPU_OP(WindowDesc);
SEQGPU_CPU_OP(WindowBackwardDesc);
SEQGPU_CPU_OP(DropoutDesc);
SEQGPU_CPU_OP(SoftmaxDesc);
SEQGPU_CPU_OP(SoftmaxBackwardDesc);
SEQGPU_CPU_OP(ReduceDesc);
SEQGPU_CPU_OP(ReduceBackwardDesc);
SEQGPU_CPU_OP(CrossEntropyDesc);
SEQGPU_CPU_OP(CrossEntropyBackwardDesc);
SEQGPU_CPU_OP(SquaredErrorDesc);
SEQGPU_CPU_OP(SquaredErrorBackwardDesc);
SEQGPU_CPU_OP(GradientNormDesc);
SEQGPU_CPU_OP(OptimizerDesc);
SEQGPU_CPU_OP(CtcForwardDesc);
SEQGPU_CPU_OP(CtcBackwardDesc);

#undef SEQGPU_CPU_OP

// Argument access with the type spelled out.
template <class T>
const T* in(const Arguments& a, int slot) {
  return static_cast<const T*>(a.inputs[slot]);
}
template <class T>
T* out(const Arguments& a, int slot) {
  return static_cast<T*>(a.outputs[slot]);
}

/// @throws Error{invalid_argument} naming the first of lengths [N] outside [0, T]; absent ones pass
void check_lengths(const char* operation, const std::int32_t* lengths, std::int64_t N, std::int64_t T);

/// Elements per tile of elementwise work: fixed, so that results do not depend on the thread count.
inline constexpr std::int64_t kTile = 16384;
inline std::int64_t tiles_of(std::int64_t count) { return (count + kTile - 1) / kTile; }

}  // namespace seqgpu::device::cpu
