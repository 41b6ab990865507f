// Our contestant: whole training steps (tagger, CTC model) and streaming, a step of one sequence a call, each timed as
// a user makes the call, by the clock on the wall. Both are the CPU contest's programs
// (benchmarks/cpu/seqgpu_model.cpp, seqgpu_stream.cpp) on another device. A training step ends with its loss on the
// host, a streaming step with y and the state there. Each is held against the expected results (expected.hpp) before it
// is timed. A workload has a backend of its own, so that its peak of memory is its own. Usage: seqgpu_steps --workloads
// FILE --records FILE --expected FOLDER [--device cuda|cpu] [--budget SECONDS]
//                     [--streamed STEPS]    for a 99.9th percentile it takes some thousand
#include "seqgpu/error.hpp"
#include "step_support.hpp"
#include "support.hpp"

namespace {

using namespace seqgpu;
using namespace seqgpu::benchmark;

const char* const kContestant = "seqgpu";

/// As in seqgpu_rnn.cpp; a model's gradients have passed through more layers and more steps.
double tolerance(const std::string& precision) { return precision == "f32" ? 1e-4 : precision == "tf32" ? 1e-2 : 5e-2; }

class Contest {
 public:
  Contest(std::string device, Records& records, const Budget& budget, std::string expected, int streamed)
      : device_(std::move(device)),
        records_(records),
        budget_(budget),
        expected_(std::move(expected)),
        streamed_(streamed) {}

  void run(const Json& row) {
    const bool model = row.at("kind") == "model";
    for (const char* precision : {"f32", "tf32", "bf16"}) {
      if (!model && std::string(precision) != "f32") continue;  // the state is f32 and one row is no matrix product
      Json asked = row;
      asked["precision"] = precision;
      Json about = step_record(kContestant, asked, "program");
      if (budget_.spent()) {
        leave_out(about, "no time", "the time budget is spent");
        continue;
      }
      try {
        contend(asked, about);
      } catch (const Error& error) {
        leave_out(about, error.code() == ErrorCode::unsupported ? "unsupported" : "failed", error.what());
        if (error.code() == ErrorCode::device_lost) throw;
      }
    }
  }

 private:
  void leave_out(Json record, const char* status, const std::string& why) {
    record["kind"] = "left out";
    record["status"] = status;
    record["why"] = why;
    records_.write(record);
  }

  void contend(const Json& row, Json about) {
    std::string why;
    const auto inner = device_ == "cpu" ? cpu_device().share() : device::make_cuda_backend({}, why);
    if (!inner) throw std::runtime_error("no GPU: " + why);
    const auto backend = std::make_shared<SteeredBackend>(inner);
    const auto prepared = prepare_step({backend, Device(backend), Clock::wall}, row);
    const Disagreement found =
        compare(thinned(prepared->results()), read_results(expected_path(expected_, step_name(row))));
    about["strategy"] = backend->last_strategy();
    if (!(found.error <= tolerance(row.at("precision")))) {
      return leave_out(about, "disagrees",
                       found.worst + " is off by " + std::to_string(found.error) + " of its norm from the CPU's");
    }
    about["error"] = found.error;
    if (row.at("kind") == "model") about["tokens"] = prepared->about().at("tokens");
    note_times(about, times_of(row, streamed_, [&] { return prepared->run(); }));
    about["peak_bytes"] = backend->memory().peak;
    records_.write(about);
  }

  std::string device_;
  Records& records_;
  const Budget& budget_;
  std::string expected_;
  int streamed_;
};

void run(int argc, char** argv) {
  Arguments arguments(argc, argv,
                      {{"--workloads", ""},
                       {"--records", ""},
                       {"--expected", ""},
                       {"--device", "cuda"},
                       {"--budget", "1e9"},
                       {"--streamed", "5000"}});
  const Budget budget(arguments.number("--budget"));
  Records records(arguments["--records"]);
  Contest contest(arguments["--device"], records, budget, arguments["--expected"],
                  static_cast<int>(arguments.number("--streamed")));
  for (const Json& row : read_steps(arguments["--workloads"])) contest.run(row);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("seqgpu_steps", [&] { run(argc, argv); });
}
