#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>

namespace seqgpu::tool {

/// "1:05", "2:10:00"
std::string clock_text(double seconds);

/// One line that renews itself on a terminal; plain lines, one an epoch, elsewhere.
class Progress {
 public:
  /// @param out  where to; nullptr: silent  @param first_step  steps that an earlier start of this run took
  Progress(std::FILE* out, std::int64_t first_step, std::int64_t total_steps);

  struct Line {
    std::int64_t epoch = 0, epochs = 0, step = 0;
    double loss = 0;
    std::string dev = {};        ///< "dev F1 95.20"
    std::int64_t sequences = 0;  ///< trained on since this start
    std::int64_t skipped = 0;
  };
  /// After a step. On a terminal it redraws the line, ten times a second at most.
  void step(const Line& line);
  /// After an epoch: a line that stays.
  void epoch(const Line& line);

 private:
  std::string text(const Line& line) const;

  std::FILE* out_;
  bool terminal_;
  std::int64_t first_step_, total_steps_;
  std::chrono::steady_clock::time_point start_, drawn_;
};

}  // namespace seqgpu::tool
