// Our CTC loss and its gradient by logits, as a contestant: one program of two launches, held against the CPU before it
// is timed. us: the program from enqueueing, as one graph from its second run on, until the host sees its end.
// Usage: seqgpu_ctc --workloads FILE --records FILE [--device cuda|cpu] [--budget SECONDS]
#include "ctc_support.hpp"
#include "seqgpu/error.hpp"

namespace {

using namespace seqgpu;
using namespace seqgpu::benchmark;

const char* const kContestant = "seqgpu";
constexpr double kTolerance = 2e-5;  // gross faults; tests/device has the tight bounds

void contend(const std::shared_ptr<device::Backend>& backend, const CtcWorkload& w, Records& records) {
  const CtcInputs inputs(w);
  CtcProgram program(backend, w, inputs);
  program.run();
  const double error = ctc_error(program.results(), ctc_reference(w, inputs));
  if (!(error <= kTolerance)) {
    const std::string why = "loss or gradient is off by " + std::to_string(error) + " from the CPU's";
    return records.write(ctc_left_out(kContestant, w, program.variant(), "disagrees", why));
  }
  double once = 0;
  const auto run = [&] {
    const auto start = std::chrono::steady_clock::now();
    program.run();
    return once = seconds_since(start);
  };
  for (int i = 0; i < 4; ++i) run();  // captures, warms up
  std::vector<double> times;
  for (int left = repeats_for(once); left > 0; --left) times.push_back(1e6 * run());
  Json record = ctc_record(kContestant, w, program.variant());
  record["us_median"] = median(times);
  record["us_min"] = *std::min_element(times.begin(), times.end());
  record["wall_us_median"] = median(times);
  record["repeats"] = times.size();
  record["error"] = error;
  record["peak_bytes"] = program.peak_bytes();
  record["table_bytes"] = w.table_bytes();
  records.write(record);
}

void run(int argc, char** argv) {
  Arguments arguments(argc, argv, {{"--workloads", ""}, {"--records", ""}, {"--device", "cuda"}, {"--budget", "1e9"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  std::string why;
  const auto backend = arguments["--device"] == "cpu" ? cpu_device().share() : device::make_cuda_backend({}, why);
  if (!backend) throw std::runtime_error("no GPU: " + why);
  for (const CtcWorkload& w : read_ctc_workloads(arguments["--workloads"])) {
    if (budget.spent()) {
      records.write(ctc_left_out(kContestant, w, "", "no time", "the time budget is spent"));
      continue;
    }
    try {
      contend(backend, w, records);
    } catch (const Error& error) {
      records.write(ctc_left_out(kContestant, w, "", "failed", error.what()));
      if (error.code() == ErrorCode::device_lost) throw;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("seqgpu_ctc", [&] { run(argc, argv); });
}
