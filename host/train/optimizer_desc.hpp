#pragma once

#include "op/desc.hpp"
#include "seqgpu/optim.hpp"

namespace seqgpu::train {

/// @throws Error{invalid_argument} naming the field, e.g. a negative rate
op::OptimizerDesc describe(const Optimizer& optimizer, DType dtype, std::int64_t count);

/// Flat buffers of moments the update needs.
int moment_count(op::OptimizerDesc::Kind kind);

}  // namespace seqgpu::train
