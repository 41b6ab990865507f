#pragma once

#include <functional>
#include <string>

#include "seqgpu/decode/frames.hpp"

// What every decoder does before it decodes: check, and share the sequences among threads.
namespace seqgpu::decode {

/// The frames of one sequence; row t is C scores.
struct SequenceView {
  const float* scores = nullptr;
  std::int64_t T = 0, C = 0, stride = 0;  // stride: floats from one frame to the next

  std::span<const float> operator[](std::int64_t t) const { return {scores + t * stride, static_cast<std::size_t>(C)}; }
};

/// @throws Error{invalid_argument} in the name of `operation`
void check_frames(const char* operation, const FramesView& frames);
/// The frames of sequence n. @throws Error{invalid_argument} at a NaN or +infinity
SequenceView sequence(const char* operation, const FramesView& frames, std::int64_t n);
/// Refuses a NaN and +infinity. `where` names the frame: "log_probs[3, 0"
void check_row(const char* operation, std::span<const float> row, const std::function<std::string()>& where);
/// 0 <= result < classes. @throws Error{invalid_argument}
std::int32_t resolve_blank(const char* operation, std::int32_t blank, std::int64_t classes);

/// Calls decode(n) for 0 <= n < N on up to `threads` threads (0: all of the machine's). The exception of the lowest n
/// is thrown on.
void for_each_sequence(const char* operation, std::int64_t N, int threads,
                       const std::function<void(std::int64_t)>& decode);

}  // namespace seqgpu::decode
