#pragma once

#include <vector>

#include "tests/ops/cases.hpp"

namespace seqgpu::ops {

inline constexpr Activation kActivations[] = {Activation::linear, Activation::tanh, Activation::relu,
                                              Activation::sigmoid};
inline constexpr Reduction kReductions[] = {Reduction::sum, Reduction::mean, Reduction::max};

/// All operations, at sizes around `size`: of SIMD packs, tiles and nothing.
inline std::vector<Case> all_cases(int64_t size) {
  std::vector<Case> c;
  const int64_t s = size, other = 3;
  if (s > 0) c.push_back(embedding_case(s, 5, 2 * s)), c.push_back(embedding_case(4, s, 7));
  c.push_back(embedding_case(4, s, 0));
  for (const bool flag : {false, true}) {
    c.push_back(matmul_case(s, other, 4, flag)), c.push_back(matmul_case(other, s, 4, flag));
    c.push_back(matmul_case(other, 4, s, flag)), c.push_back(linear_case(s, other, 2, flag));
    c.push_back(linear_case(2, s, other, flag)), c.push_back(linear_case(1, 2, s, flag));
    c.push_back(chain_case(flag, false)), c.push_back(chain_case(flag, true));
    c.push_back(binary_case(flag, {s, 2}, {s, 2})), c.push_back(binary_case(flag, {other, s}, {s}));
    c.push_back(binary_case(flag, {2, s, 2}, {s, 2})), c.push_back(binary_case(flag, {s}, Shape{}));
    c.push_back(twice_case(flag));
    c.push_back(window_case(s, 4, 2, 1, flag)), c.push_back(window_case(4, s, 1, 2, flag));
    c.push_back(window_case(3, 3, s, 0, flag)), c.push_back(window_case(2, 3, s, 4, flag));
    c.push_back(softmax_case(other, s, flag, 2)), c.push_back(softmax_case(s, 4, flag, 2));
    c.push_back(squared_error_case(s, 3, 2, flag)), c.push_back(squared_error_case(4, s, 2, flag));
    c.push_back(squared_error_case(4, 3, s, flag));
    for (const float smoothing : {0.f, 0.1f})
      for (const std::int32_t ignore : {-100, 1}) {
        c.push_back(cross_entropy_case(s, 3, 4, flag, ignore, smoothing));
        c.push_back(cross_entropy_case(4, s, 3, flag, ignore, smoothing));
        if (s > 1) c.push_back(cross_entropy_case(3, 3, s, flag, ignore, smoothing));
      }
  }
  c.push_back(affine_case(s, -1.5f, 0.25f));
  for (const Activation a : kActivations) c.push_back(activation_case(s, a, 3));
  for (int axis = 0; axis < 3; ++axis) {
    Shape shape{2, 3, 2};
    c.push_back(concat_case(shape, axis, {s, 2, 0}));
    shape.set((axis + 1) % 3, s);
    c.push_back(concat_case(shape, axis, {1, 3}));
    c.push_back(slice_case(shape, axis, 0, 1 < shape[axis] ? 1 : shape[axis]));
    shape = {2, 3, 2};
    shape.set(axis, s + 2);
    c.push_back(slice_case(shape, axis, 1, s + 1)), c.push_back(slice_case(shape, axis, 1, 1));
    for (const Reduction r : kReductions) c.push_back(reduce_case(shape, axis, r));
    if (s == 0) {
      c.push_back(reduce_case({axis == 0 ? 0 : 2, axis == 1 ? 0 : 2, axis == 2 ? 0 : 2}, axis, Reduction::sum));
      c.push_back(reduce_case({axis == 0 ? 0 : 2, axis == 1 ? 0 : 2, axis == 2 ? 0 : 2}, axis, Reduction::mean));
    }
  }
  for (const Reduction r : kReductions)
    if (s > 0 || r != Reduction::max) c.push_back(reduce_all_case({s, 2}, r));
  return c;
}

}  // namespace seqgpu::ops
