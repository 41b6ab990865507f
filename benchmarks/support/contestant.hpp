#pragma once

#include <malloc.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "clock.hpp"
#include "profiler.hpp"
#include "results.hpp"
#include "workload.hpp"

// A contestant is a process that serves contest.py: it reads one request a line and answers with one line, JSON both.
//   {"do": "prepare", "row": {...}}              -> {} | {"unsupported": why}
//   {"do": "results", "file": path}              -> {}                       computed and written
//   {"do": "check", "file": path}                -> {"error": e, "worst": t} computed and held against a file
//   {"do": "time", "iterations": n}              -> {"seconds": [...], ...}  each run by itself
//   {"do": "profile", "seconds": s}              -> {"seconds": [...], "samples": [[library, function, n], ...]}
//   {"do": "memory"}                             -> {"peak_bytes": b}        what the workload added at its peak
//   {"do": "release"}                            -> {}
// Any request may be answered with {"failed": why}. The first line, unasked, says who it is.
namespace seqgpu::benchmark {

/// A workload that this contestant cannot do, and why.
struct Unsupported : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// One workload, ready to run.
class Prepared {
 public:
  virtual ~Prepared() = default;
  /// All that is to agree with the other contestants.
  virtual Results results() = 0;
  /// One run. @return its seconds by the clock in use
  virtual double run() = 0;
  /// What else is known, for the record: bytes planned, strategies taken.
  virtual Json about() const { return Json::object(); }
};
using Prepare = std::function<std::unique_ptr<Prepared>(const Json& row)>;

/// "VmRSS" or "VmHWM" of this process, in bytes; -1 where the system does not tell.
inline std::int64_t memory_status(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind(field + ":", 0) == 0) return std::stoll(line.substr(field.size() + 1)) * 1024;
  }
  return -1;
}

class Server {
 public:
  explicit Server(Prepare prepare) : prepare_(std::move(prepare)) {}

  Json answer(const Json& request) {
    const std::string what = request.at("do");
    if (what == "prepare") return start(request.at("row"));
    if (what == "release") return release();
    if (!prepared_) throw std::runtime_error("nothing is prepared");
    if (what == "results") {
      write_results(request.at("file"), prepared_->results());
    } else if (what == "check") {
      const Disagreement d = compare(prepared_->results(), read_results(request.at("file")));
      return {{"error", d.error}, {"worst", d.worst}};
    } else if (what == "time") {
      return time(request.at("iterations"));
    } else if (what == "profile") {
      return profile(request.at("seconds"));
    } else if (what == "memory") {
      const std::int64_t peak = memory_status("VmHWM");
      return {{"peak_bytes", peak < 0 || before_ < 0 ? -1 : peak - before_}};
    } else {
      throw std::runtime_error("no such request: " + what);
    }
    return Json::object();
  }

 private:
  Json start(const Json& row) {
    release();
    before_ = memory_status("VmRSS");
    prepared_ = prepare_(row);
    return Json::object();
  }
  Json release() {
    prepared_.reset();
    malloc_trim(0);
    timed_ = false;
    return Json::object();
  }
  Json time(int iterations) {
    if (!timed_) {  // the check's own memory does not count
      malloc_trim(0);
      std::ofstream("/proc/self/clear_refs") << 5;
      timed_ = true;
    }
    std::vector<double> seconds;
    for (int i = 0; i < iterations; ++i) seconds.push_back(prepared_->run());
    Json reply = prepared_->about();
    reply["seconds"] = seconds;
    return reply;
  }

  Json profile(double enough) {
    for (int i = 0; i < 2; ++i) prepared_->run();
    std::vector<double> seconds;
    Profiler profiler;
    for (const double start = now(Clock::cpu); seconds.empty() || now(Clock::cpu) - start < enough;)
      seconds.push_back(prepared_->run());
    Json samples = Json::array();
    for (const auto& [place, count] : profiler.stop()) samples.push_back({place.first, place.second, count});
    return {{"seconds", seconds}, {"samples", samples}};
  }

  Prepare prepare_;
  std::unique_ptr<Prepared> prepared_;
  std::int64_t before_ = -1;
  bool timed_ = false;
};

/// Serves until stdin ends. Whatever a library prints goes to stderr. @param answer  to one request
template <class Answer>
int serve_requests(const char* contestant, const std::string& version, Answer&& answer) {
  std::FILE* replies = fdopen(dup(1), "w");
  dup2(2, 1);
  const auto say = [&](const Json& reply) {
    std::fprintf(replies, "%s\n", reply.dump().c_str());
    std::fflush(replies);
  };
  say({{"contestant", contestant}, {"version", version}});
  for (std::string line; std::getline(std::cin, line);) {
    try {
      say(answer(Json::parse(line)));
    } catch (const Unsupported& why) {
      say({{"unsupported", why.what()}});
    } catch (const std::exception& why) {
      say({{"failed", why.what()}});
    }
  }
  std::fclose(replies);
  return 0;
}

inline int serve(const char* contestant, const std::string& version, Prepare prepare) {
  Server server(std::move(prepare));
  return serve_requests(contestant, version, [&](const Json& request) { return server.answer(request); });
}

/// What contest.py asks of a contestant as it starts it.
struct Setting {
  int threads = 0;
  Clock clock = Clock::wall;
};

/// The main of a contestant: `--threads N [--clock cpu]`, then body(Setting).
template <class Body>
int run_contestant(int argc, char** argv, Body&& body) {
  Setting setting;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    if (name == "--threads") setting.threads = std::atoi(argv[i + 1]);
    if (name == "--clock" && std::string(argv[i + 1]) == "cpu") setting.clock = Clock::cpu;
  }
  if (setting.threads < 1) {
    std::fprintf(stderr, "usage: %s --threads N [--clock wall|cpu], with requests on stdin\n", argv[0]);
    return 1;
  }
  try {
    return body(setting);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[0], error.what());
    return 1;
  }
}

}  // namespace seqgpu::benchmark
