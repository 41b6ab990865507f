#include "decode/sequences.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <string>
#include <thread>

#include "seqgpu/error.hpp"

namespace seqgpu::decode {

namespace {

[[noreturn]] void refuse(const char* operation, const std::string& argument, const std::string& detail) {
  throw Error(ErrorCode::invalid_argument, operation, argument, detail);
}

}  // namespace

void check_frames(const char* operation, const FramesView& frames) {
  const auto [T, N, C] = std::array{frames.T, frames.N, frames.C};
  if (T < 0 || N < 0 || C < 1) {
    refuse(operation, "frames",
           "T and N must be >= 0 and C >= 1, got T=" + std::to_string(T) + " N=" + std::to_string(N) +
               " C=" + std::to_string(C));
  }
  constexpr std::int64_t kMost = std::numeric_limits<std::int32_t>::max();
  if (T > kMost || C > kMost) refuse(operation, "frames", "T and C must fit 32 bits");
  const auto size = static_cast<std::int64_t>(frames.log_probs.size());
  // By division, as T*N*C may not fit.
  const bool fits = T == 0 || N == 0 ? size == 0 : size % C == 0 && size / C % T == 0 && size / C / T == N;
  if (!fits) {
    refuse(operation, "log_probs",
           "must be [T N C], got " + std::to_string(size) + " values for T=" + std::to_string(T) +
               " N=" + std::to_string(N) + " C=" + std::to_string(C));
  }
  if (frames.lengths.empty()) return;
  if (static_cast<std::int64_t>(frames.lengths.size()) != N) {
    refuse(operation, "lengths",
           "must be [N], got " + std::to_string(frames.lengths.size()) + " for N=" + std::to_string(N));
  }
  for (std::size_t n = 0; n < frames.lengths.size(); ++n) {
    if (frames.lengths[n] < 0 || frames.lengths[n] > T) {
      refuse(operation, "lengths[" + std::to_string(n) + "]",
             "must be from 0 to T=" + std::to_string(T) + ", got " + std::to_string(frames.lengths[n]));
    }
  }
}

SequenceView sequence(const char* operation, const FramesView& frames, std::int64_t n) {
  SequenceView view;
  view.T = frames.lengths.empty() ? frames.T : frames.lengths[static_cast<std::size_t>(n)];
  view.C = frames.C;
  view.stride = frames.N * frames.C;
  view.scores = frames.log_probs.data() + (view.T > 0 ? n * frames.C : 0);
  for (std::int64_t t = 0; t < view.T; ++t) {
    check_row(operation, view[t], [&] { return "log_probs[" + std::to_string(t) + ", " + std::to_string(n); });
  }
  return view;
}

void check_row(const char* operation, std::span<const float> row, const std::function<std::string()>& where) {
  for (std::size_t c = 0; c < row.size(); ++c) {
    if (row[c] < std::numeric_limits<float>::infinity()) continue;
    refuse(operation, where() + ", " + std::to_string(c) + "]",
           std::isnan(row[c]) ? "is NaN; did the network diverge?" : "is +infinity, no log-probability");
  }
}

std::int32_t resolve_blank(const char* operation, std::int32_t blank, std::int64_t classes) {
  const std::int64_t index = blank < 0 ? blank + classes : blank;
  if (index < 0 || index >= classes) {
    refuse(operation, "blank",
           "must be from -C to C-1, got " + std::to_string(blank) + " for C=" + std::to_string(classes));
  }
  return static_cast<std::int32_t>(index);
}

void for_each_sequence(const char* operation, std::int64_t N, int threads,
                       const std::function<void(std::int64_t)>& decode) {
  if (threads < 0) refuse(operation, "threads", "must be >= 0, got " + std::to_string(threads));
  if (threads == 0) threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(N));
  std::atomic<std::int64_t> next{0};
  const auto work = [&] {
    for (std::int64_t n; (n = next.fetch_add(1)) < N;) {
      try {
        decode(n);
      } catch (...) {
        failures[static_cast<std::size_t>(n)] = std::current_exception();
      }
    }
  };
  {
    std::vector<std::jthread> others;
    for (std::int64_t i = 1; i < std::min<std::int64_t>(threads, N); ++i) others.emplace_back(work);
    work();
  }
  for (const auto& failure : failures) {
    if (failure) std::rethrow_exception(failure);
  }
}

}  // namespace seqgpu::decode
