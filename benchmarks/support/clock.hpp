#pragma once

#include <ctime>

namespace seqgpu::benchmark {

/// wall: what a user waits. cpu: what all threads of the process computed, for one thread on a machine that has other
/// work to do; waiting in a loop counts as computing.
enum class Clock { wall, cpu };

/// Seconds since some moment.
inline double now(Clock clock) {
  timespec t{};
  clock_gettime(clock == Clock::cpu ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

template <class Body>
double seconds_of(Clock clock, Body&& body) {
  const double start = now(clock);
  body();
  return now(clock) - start;
}

}  // namespace seqgpu::benchmark
