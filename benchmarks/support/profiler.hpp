#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "clock.hpp"

#if defined(__linux__) && defined(__x86_64__)
#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>

#include <filesystem>
#define SEQGPU_BENCH_PROFILER 1
#endif

// Where time goes, by sampling: every thread gets a timer on its own processor time, whose signal notes where the
// thread stands. Names are found in Python (profiling.py), which reads the program's symbols.
namespace seqgpu::benchmark {

namespace sampling {
inline std::atomic<bool> armed{false};  // within what a row times
inline std::atomic<std::size_t> count{0};
inline std::vector<std::uintptr_t> places;
}  // namespace sampling

/// The seconds of a row; a profile sees this alone.
template <class Body>
double timed(Clock clock, Body&& body) {
  const bool before = sampling::armed.exchange(true);
  const double seconds = seconds_of(clock, body);
  sampling::armed = before;
  return seconds;
}

/// Samples all threads that this process has when it is made, until stop().
class Profiler {
 public:
  /// (library, function) or ("", offset in this program): samples
  using Samples = std::map<std::pair<std::string, std::string>, int>;

#if SEQGPU_BENCH_PROFILER
  Profiler() {
    sampling::places.assign(kMost, 0);
    sampling::count = 0;
    struct sigaction action {};
    action.sa_sigaction = note;
    action.sa_flags = SA_SIGINFO | SA_RESTART;
    sigaction(SIGPROF, &action, &before_);
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      const int thread = std::stoi(task.path().filename().string());
      sigevent event{};
      event.sigev_notify = SIGEV_THREAD_ID;
      event.sigev_signo = SIGPROF;
      event._sigev_un._tid = thread;
      timer_t timer{};
      const clockid_t its_time =
          static_cast<clockid_t>(~static_cast<unsigned>(thread) << 3 | 6u);  // clock_getcpuclockid's
      if (timer_create(its_time, &event, &timer) != 0) throw std::runtime_error("timer_create: no timer for a thread");
      const itimerspec every{{0, kNanoseconds}, {0, kNanoseconds}};
      timer_settime(timer, 0, &every, nullptr);
      timers_.push_back(timer);
    }
  }
  ~Profiler() { end(); }
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  Samples stop() {
    end();
    Samples samples;
    const std::size_t taken = std::min(sampling::count.load(), kMost);
    for (std::size_t i = 0; i < taken; ++i) ++samples[name_of(sampling::places[i])];
    return samples;
  }

 private:
  static constexpr std::size_t kMost = 1 << 20;
  static constexpr long kNanoseconds = 1000000;  // the kernel's tick may be longer

  static void note(int, siginfo_t*, void* context) {
    if (!sampling::armed.load(std::memory_order_relaxed)) return;
    const std::size_t i = sampling::count.fetch_add(1);
    const auto& registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
    if (i < kMost) sampling::places[i] = static_cast<std::uintptr_t>(registers[REG_RIP]);
  }

  static std::pair<std::string, std::string> name_of(std::uintptr_t place) {
    Dl_info info{};
    link_map* map = nullptr;
    if (dladdr1(reinterpret_cast<void*>(place), &info, reinterpret_cast<void**>(&map), RTLD_DL_LINKMAP) == 0)
      return {"unknown", ""};
    if (map->l_name[0] == '\0') return {"", std::to_string(place - map->l_addr)};
    return {std::filesystem::path(map->l_name).filename().string(), info.dli_sname ? info.dli_sname : ""};
  }

  void end() {
    for (const timer_t timer : timers_) timer_delete(timer);
    if (!timers_.empty()) sigaction(SIGPROF, &before_, nullptr);
    timers_.clear();
  }

  std::vector<timer_t> timers_;
  struct sigaction before_ {};
#else
  Profiler() { throw std::runtime_error("profiles are taken on Linux on x86-64 only"); }
  Samples stop() { return {}; }
#endif
};

}  // namespace seqgpu::benchmark
