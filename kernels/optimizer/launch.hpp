#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/block/fault.hpp"

struct CUstream_st;

// The end of a training step: the gradient's norm, then one pass that updates everything.
namespace seqgpu::kernels {

/// op::Control as it lies in device memory; host/device/cuda checks that the two agree.
struct StepControl {
  std::int64_t step, updates, skipped, finite;
  double norm, rate_factor;
  std::int64_t reserved[2];
};

struct GradientNormArgs {
  const float* gradient;  // [count]
  std::int64_t count;
  StepControl* control;  // writes norm and finite
  void* workspace;       // kGradientNormWorkspace bytes
  FaultSink faults;
};
inline constexpr std::size_t kGradientNormWorkspace = 1024 * sizeof(double);
void gradient_norm(const GradientNormArgs& args, CUstream_st* stream);

enum class UpdateKind : int { sgd, momentum, rms_prop, adagrad, adam, adam_w };

/// All of [count]; moments and average are null where the kind has none.
struct UpdateArgs {
  UpdateKind kind;
  bool nesterov;
  std::int64_t count;
  float rate, beta1, beta2, epsilon, clip_norm, clip_value, weight_decay, ema_decay;
  const float* gradient;
  float *parameters, *moment1, *moment2, *average;
  StepControl* control;
  void* workspace;  // kUpdateWorkspace bytes
  FaultSink faults;
};
inline constexpr std::size_t kUpdateWorkspace = 64;
/// Does nothing once a launch of the program has reported illegal input. Only counts where the gradient is not finite.
void update(const UpdateArgs& args, CUstream_st* stream);

}  // namespace seqgpu::kernels
