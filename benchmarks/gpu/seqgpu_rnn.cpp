// Our contestant: recurrent layers through the public API, every strategy by name in every precision. Each is held
// against the expected results (expected.hpp) on a few steps before it is timed.
// x [T, N, I] and dy are parameters, so that they live on the device, as in the other contestants. us: the program from
// enqueueing to its end. wall_us: the call as a user makes it.
// Usage: seqgpu_rnn --workloads FILE --records FILE --expected FOLDER [--device cuda|cpu] [--budget SECONDS]
//                   [--strategies a,b,choice]
#include <sstream>

#include "benchmarks/support/steered_backend.hpp"
#include "seqgpu_layer.hpp"
#include "support.hpp"

namespace {

using namespace seqgpu;
using namespace seqgpu::benchmark;

const char* const kContestant = "seqgpu";
const char* const kChoice = "choice";
const Precision kPrecisions[] = {Precision::bf16, Precision::f32, Precision::tf32};

/// Relative to the norm of the reference. Meant for gross faults: tests/device holds the tight bounds. bf16 rounds
/// operands to 2^-9, tf32 to 2^-11, and a few steps make that a few times larger.
double tolerance(Precision precision) {
  switch (precision) {
    case Precision::f32: return 1e-5;
    case Precision::tf32: return 5e-3;
    case Precision::bf16: return 3e-2;
  }
  return 0;
}

/// "a,b" to a and b.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

class Contest {
 public:
  /// @param strategies  by name; "" is the device's own, kChoice only says which that is
  Contest(std::shared_ptr<SteeredBackend> backend, std::vector<std::string> strategies, Records& records,
          const Budget& budget, std::string expected)
      : backend_(std::move(backend)),
        device_(backend_),
        strategies_(std::move(strategies)),
        records_(records),
        budget_(budget),
        expected_(std::move(expected)) {}

  void run(const Workload& w) {
    if (budget_.spent()) return leave_out(w, "all", "", "", "no time", "the time budget is spent");
    LayerParameters parameters(device_, w), few(device_, shortened(w));
    for (const Pass pass : {Pass::forward, Pass::train}) {
      for (const Precision precision : kPrecisions) {
        for (const std::string& strategy : strategies_) {
          if (strategy == kChoice) continue;
          attempt(w, pass, precision, strategy, [&] { contend(pass, precision, strategy, few, parameters); });
        }
      }
    }
    if (std::find(strategies_.begin(), strategies_.end(), kChoice) == strategies_.end()) return;
    for (const Precision precision : kPrecisions) {
      attempt(w, Pass::forward, precision, "", [&] { note_choice(precision, parameters); });
    }
  }

 private:
  template <class Body>
  void attempt(const Workload& w, Pass pass, Precision precision, const std::string& strategy, Body&& body) {
    try {
      backend_->ask_for(strategy);
      body();
    } catch (const Error& error) {
      backend_->pretend(false);
      const char* status = error.code() == ErrorCode::unsupported ? "unsupported" : "failed";
      leave_out(w, name_of(pass), to_string(precision), strategy, status, error.what());
      if (error.code() == ErrorCode::device_lost) throw;
    }
  }

  void leave_out(const Workload& w, const char* pass, const std::string& precision, const std::string& variant,
                 const char* status, const std::string& why) {
    records_.write(left_out(kContestant, w, pass, precision, variant, status, why));
  }

  void contend(Pass pass, Precision precision, const std::string& strategy, LayerParameters& few,
               LayerParameters& parameters) {
    const Workload& w = parameters.workload();
    const Results got = LayerPass(device_, few, precision, pass, /*whole=*/true).results();
    if (backend_->last_strategy().find(strategy) == std::string::npos) {
      return leave_out(w, name_of(pass), to_string(precision), strategy, "unsupported",
                       "the device took " + backend_->last_strategy());
    }
    const Disagreement found = disagreement(expected_, few.workload(), name_of(pass), got);
    if (!(found.error <= tolerance(precision))) {
      return leave_out(w, name_of(pass), to_string(precision), strategy, "disagrees",
                       found.worst + " is off by " + std::to_string(found.error) + " of its norm from the CPU's");
    }
    LayerPass timed(device_, parameters, precision, pass, /*whole=*/false);
    time(w, pass, precision, found.error, [&] { timed.run(); });
  }

  template <class Body>
  void time(const Workload& w, Pass pass, Precision precision, double error, Body&& body) {
    for (int i = 0; i < 4; ++i) body();  // plans, captures, warms up
    std::vector<double> program, wall;
    for (int left = repeats_for(backend_->last_seconds()); left > 0; --left) {
      const auto start = std::chrono::steady_clock::now();
      body();
      wall.push_back(seconds_since(start) * 1e6);
      program.push_back(backend_->last_seconds() * 1e6);
    }
    Json record = time_record(kContestant, w, name_of(pass), to_string(precision), backend_->last_strategy());
    record["us_median"] = median(program);
    record["us_min"] = *std::min_element(program.begin(), program.end());
    record["wall_us_median"] = median(wall);
    record["repeats"] = program.size();
    record["error"] = error;
    records_.write(record);
  }

  /// What the device takes when nobody asks for a strategy.
  void note_choice(Precision precision, LayerParameters& parameters) {
    LayerPass forward(device_, parameters, precision, Pass::forward, /*whole=*/false);
    LayerPass train(device_, parameters, precision, Pass::train, /*whole=*/false);
    backend_->pretend(true);
    forward.run();
    Json record{{"kind", "choice"}, {"workload", parameters.workload().name()}, {"precision", to_string(precision)}};
    record["forward"] = backend_->last_strategy();
    record["explain"] = forward.explain();
    train.run();
    record["train"] = backend_->last_strategy();
    backend_->pretend(false);
    records_.write(record);
  }

  std::shared_ptr<SteeredBackend> backend_;
  Device device_;
  std::vector<std::string> strategies_;
  Records& records_;
  const Budget& budget_;
  std::string expected_;
};

void run(int argc, char** argv) {
  Arguments arguments(argc, argv,
                      {{"--workloads", ""},
                       {"--records", ""},
                       {"--expected", ""},
                       {"--device", "cuda"},
                       {"--budget", "1e9"},
                       {"--strategies", "cluster-persistent,grid-persistent,stepwise,choice"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  std::string why;
  auto inner = arguments["--device"] == "cpu" ? cpu_device().share() : device::make_cuda_backend({}, why);
  if (!inner) throw std::runtime_error("no GPU: " + why);
  records.write(Json{{"kind", "contestant"}, {"contestant", kContestant}, {"version", inner->name()}});
  std::vector<std::string> strategies = split(arguments["--strategies"]);
  if (inner->kind() == DeviceKind::cpu) strategies = {"", kChoice};  // it has one way only
  Contest contest(std::make_shared<SteeredBackend>(inner), strategies, records, budget, arguments["--expected"]);
  for (const Workload& w : read_workloads(arguments["--workloads"], "gpu")) contest.run(w);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("seqgpu_rnn", [&] { run(argc, argv); });
}
