#pragma once

#include "device/device.hpp"

namespace seqgpu::device::cuda {

/// Every implementation that the CUDA device has; what a device cannot run, its row's accepts() refuses.
OpTable make_table(const Limits& limits);

/// Rows for everything but the recurrence and CTC (ops.cpp).
void add_ops(OpTable& table);

/// Rows for CTC (ops_ctc.cpp).
void add_ctc(OpTable& table);

}  // namespace seqgpu::device::cuda
