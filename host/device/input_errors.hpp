#pragma once

#include <cstdint>

#include "seqgpu/error.hpp"

// What is said of illegal content of a tensor: the CPU finds it while it computes, CUDA reports it when a run ends, and
// both say the same.
namespace seqgpu::device {

/// lengths[n] is not in [0, T].
Error length_error(const char* operation, std::int64_t n, std::int64_t length, std::int64_t T);

/// A label is neither in [0, classes) nor ignore_index. @param row  of [T, N]; @param N  sequences, may be 0
Error label_error(std::int64_t classes, std::int64_t ignore_index, std::int64_t label, std::int64_t row,
                  std::int64_t N);

/// An id is not in [0, vocabulary).
Error id_error(std::int64_t vocabulary, std::int64_t id, std::int64_t element);

}  // namespace seqgpu::device
