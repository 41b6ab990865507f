#include "progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

namespace seqgpu::tool {

std::string clock_text(double seconds) {
  const auto total = static_cast<std::int64_t>(std::max(0.0, seconds) + 0.5);
  const std::int64_t hours = total / 3600, minutes = total / 60 % 60, rest = total % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, rest) : fmt::format("{}:{:02}", minutes, rest);
}

Progress::Progress(std::FILE* out, std::int64_t first_step, std::int64_t total_steps)
    : out_(out),
      terminal_(out != nullptr && isatty(fileno(out)) == 1),
      first_step_(first_step),
      total_steps_(total_steps),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_ - std::chrono::seconds(1)) {}

std::string Progress::text(const Line& line) const {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const auto taken = static_cast<double>(line.step - first_step_);
  const double left = taken > 0 ? seconds / taken * static_cast<double>(total_steps_ - line.step) : 0;
  return fmt::format("epoch {:>2}/{}  step {:>5}/{}  loss {:.4f}  {}  {:>6.0f} sequences/s  {}  ETA {}{}", line.epoch,
                     line.epochs, line.step, total_steps_, line.loss, line.dev,
                     seconds > 0 ? static_cast<double>(line.sequences) / seconds : 0.0, clock_text(seconds),
                     clock_text(left), line.skipped > 0 ? fmt::format("  skipped {} steps", line.skipped) : "");
}

void Progress::step(const Line& line) {
  if (!terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - drawn_ < std::chrono::milliseconds(100)) return;
  drawn_ = now;
  fmt::print(out_, "\r{}\x1b[K", text(line));
  std::fflush(out_);
}

void Progress::epoch(const Line& line) {
  if (out_ == nullptr) return;
  fmt::print(out_, "{}{}{}\n", terminal_ ? "\r" : "", text(line), terminal_ ? "\x1b[K" : "");
  std::fflush(out_);
}

}  // namespace seqgpu::tool
