#pragma once

// Everything a user may say.
#include "seqgpu/cell.hpp"
#include "seqgpu/device.hpp"
#include "seqgpu/dtype.hpp"
#include "seqgpu/error.hpp"
#include "seqgpu/graph.hpp"
#include "seqgpu/nn.hpp"
#include "seqgpu/ops.hpp"
#include "seqgpu/optim.hpp"
#include "seqgpu/parameters.hpp"
#include "seqgpu/recurrent.hpp"
#include "seqgpu/shape.hpp"
#include "seqgpu/tensor.hpp"
#include "seqgpu/trainer.hpp"
