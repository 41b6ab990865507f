#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "device/device.hpp"

// What lives beside logits and gradient at the peak of a training step, on any device; a function of the shape.
namespace seqgpu::ctc {

/// Forward's or backward's workspace, whichever is larger, and what forward keeps for backward: against PyTorch's
/// tables of alpha and beta, [N, T, 2U+1] floats each.
inline void expect_memory_at_most_half_of_two_tables(const device::OpTable& table) {
  for (const auto& [frames, N, C, U] : {std::array{150, 16, 30, 20},
                                        {200, 64, 30, 30},
                                        {500, 32, 50, 80},
                                        {1000, 16, 5000, 100},
                                        {1500, 32, 50, 300},
                                        {1500, 1, 50, 300},
                                        {4000, 1, 3, 1200}}) {
    op::CtcForwardDesc d;
    d.T = frames, d.N = N, d.C = C, d.L = U, d.training = true;
    op::CtcBackwardDesc back;
    static_cast<op::CtcDesc&>(back) = d;
    const auto* forward = device::choose(table, d).implementation;
    const auto* backward = device::choose(table, back).implementation;
    ASSERT_TRUE(forward && backward);
    const auto kept = static_cast<double>(forward->opaque_bytes(d, table.limits));
    const double peak = kept + static_cast<double>(std::max(forward->workspace_bytes(d, table.limits),
                                                            backward->workspace_bytes(back, table.limits)));
    const double tables = 2.0 * 4 * frames * N * (2 * U + 1);
    std::printf(
        "T %d N %d U %d: peak %.2f MB, of which kept for backward %.2f MB; two tables in f32 %.2f MB, %.0f %%\n",
        frames, N, U, peak / 1e6, kept / 1e6, tables / 1e6, 100 * peak / tables);
    EXPECT_LE(peak, tables / 2) << frames << " " << U;
  }
}

}  // namespace seqgpu::ctc
