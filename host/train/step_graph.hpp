#pragma once

#include "op/desc.hpp"
#include "seqgpu/trainer.hpp"
#include "train/plans.hpp"
#include "train/store.hpp"

namespace seqgpu::train {

/// Adds to a graph that ends in `objective` what a pass needs: the output "loss", the nodes of backward, which leave
/// each parameter's gradient where the pass wants it, and the update.
/// @throws Error{invalid_argument} if the objective is no scalar and has no gradient of its shape
Described describe_pass(Graph& graph, Pass pass, Objective objective, const ParameterStore& store,
                        const op::OptimizerDesc& optimizer);

/// The pass `update`, which needs no objective.
Described describe_update(Graph& graph, const ParameterStore& store, const op::OptimizerDesc& optimizer);

}  // namespace seqgpu::train
