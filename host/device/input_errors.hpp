#pragma once

#include <cstdint>

#include "op/ctc_desc.hpp"
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

/// CTC: a length is not in [0, T] or [0, L]. @param name  input_lengths or target_lengths
Error ctc_length_error(const op::CtcDesc& desc, const char* name, std::int64_t n, std::int64_t length);

/// CTC: concatenated targets have another size than their lengths say. @param n  where the sum passed it; -1: it did
/// not
Error ctc_sum_error(const op::CtcDesc& desc, std::int64_t sum, std::int64_t n);

/// CTC: label u of sequence n, element `at` of concatenated targets, is no class or the blank.
Error ctc_label_error(const op::CtcDesc& desc, std::int64_t n, std::int64_t u, std::int64_t at, std::int64_t label);

/// CTC: a target needs more frames than there are.
Error ctc_impossible_error(const op::CtcDesc& desc, std::int64_t n, std::int64_t labels, std::int64_t needed,
                           std::int64_t frames);

}  // namespace seqgpu::device
