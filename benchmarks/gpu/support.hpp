#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "benchmarks/support/median.hpp"
#include "benchmarks/support/workload.hpp"

// What the programs of benchmarks/gpu share: records as lines of JSON, repeats and budgets.
namespace seqgpu::benchmark {

/// Appends one line a record and flushes it: what was measured before a crash or a time-out stays.
class Records {
 public:
  explicit Records(const std::string& path) : file_(path, std::ios::app) {
    if (!file_) throw std::runtime_error("cannot write " + path);
  }
  void write(const Json& record) { file_ << record.dump() << std::endl; }

 private:
  std::ofstream file_;
};

/// Seconds that a program may take; a contestant that finds it spent says so and is left out.
class Budget {
 public:
  explicit Budget(double seconds) : seconds_(seconds), start_(Clock::now()) {}
  bool spent() const { return std::chrono::duration<double>(Clock::now() - start_).count() >= seconds_; }

 private:
  using Clock = std::chrono::steady_clock;
  double seconds_;
  Clock::time_point start_;
};

/// Repeats of something that takes `seconds`: 20, more where they take less than 10 ms, fewer beyond 50 ms, 5 at least.
inline int repeats_for(double seconds) {
  const double each = std::max(seconds, 1e-7);
  const double wanted = std::clamp(0.010 / each, 20.0, 200.0);
  return static_cast<int>(std::max(5.0, std::min(wanted, 0.050 / each)));
}

inline double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The record of one measurement; the caller fills in the times.
/// @param precision  f32, tf32, bf16, f16  @param variant  algorithm or strategy, and how it was launched
inline Json time_record(const char* contestant, const Workload& w, const char* pass, const std::string& precision,
                        const std::string& variant) {
  return Json{{"kind", "time"},
              {"contestant", contestant},
              {"workload", w.name()},
              {"cell", w.cell},
              {"T", w.T},
              {"N", w.N},
              {"I", w.I},
              {"H", w.H},
              {"layers", w.layers},
              {"directions", w.directions},
              {"ragged", w.ragged},
              {"pass", pass},
              {"precision", precision},
              {"variant", variant}};
}

/// The same, for what could not be measured. @param status  unsupported, failed, disagrees, no time
inline Json left_out(const char* contestant, const Workload& w, const char* pass, const std::string& precision,
                     const std::string& variant, const char* status, const std::string& why) {
  Json record = time_record(contestant, w, pass, precision, variant);
  record["kind"] = "left out";
  record["status"] = status;
  record["why"] = why;
  return record;
}

/// --name value pairs. @throws std::runtime_error naming what is unknown or missing
class Arguments {
 public:
  Arguments(int argc, char** argv, std::vector<std::pair<std::string, std::string>> defaults)
      : values_(std::move(defaults)) {
    for (int i = 1; i < argc; i += 2) {
      if (i + 1 == argc) throw std::runtime_error(std::string(argv[i]) + " needs a value");
      find(argv[i]) = argv[i + 1];
    }
  }
  std::string operator[](const std::string& name) { return find(name); }
  double number(const std::string& name) { return std::stod(find(name)); }

 private:
  std::string& find(const std::string& name) {
    for (auto& [key, value] : values_) {
      if (key == name) return value;
    }
    throw std::runtime_error("unknown argument " + name);
  }
  std::vector<std::pair<std::string, std::string>> values_;
};

/// Runs a program's body; an exception becomes one line on stderr and exit code 1.
template <class Body>
int run_program(const char* name, Body&& body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", name, error.what());
    return 1;
  }
}

}  // namespace seqgpu::benchmark
