// Our contestant: one recurrent layer through the public API, every strategy by name in every precision. Each is held
// against the CPU on a few steps before it is timed.
//   forward   a Session: the layer, with the last step of y as its output
//   train     forward, and backward from a given dy to the gradients of weights, biases and x
// x [T, N, I] and dy are parameters, so that they live on the device, as in the other contestants. us: the program from
// enqueueing to its end. wall_us: the call as a user makes it. Usage: seqgpu_rnn --workloads FILE --records FILE
// [--device cuda|cpu] [--budget SECONDS]
#include <cmath>
#include <memory>
#include <sstream>

#include "benchmarks/support/backpropagation.hpp"
#include "benchmarks/support/steered_backend.hpp"
#include "seqgpu/seqgpu.hpp"
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

CellKind cell_of(const Workload& w) {
  if (w.cell == "lstm") return CellKind::lstm;
  if (w.cell == "gru") return CellKind::gru;
  throw std::runtime_error("no such cell: " + w.cell);
}

const char* suffix(int direction) { return direction == 0 ? "" : "_reverse"; }

/// One layer's parameters, x and dy among them.
void add_parameters(Parameters& parameters, const Workload& w) {
  const std::int64_t GH = static_cast<std::int64_t>(gate_count(cell_of(w))) * w.H;
  const Initializer uniform{.kind = Initializer::Kind::uniform, .scale = 1.f / std::sqrt(static_cast<float>(w.H))};
  parameters.add("x", {w.T, w.N, w.I}, {.kind = Initializer::Kind::uniform, .scale = 1.f});
  parameters.add(kGiven, {w.T, w.N, w.directions * w.H}, {.kind = Initializer::Kind::uniform, .scale = 1.f});
  for (int d = 0; d < w.directions; ++d) {
    parameters.add(std::string("w_ih") + suffix(d), {GH, w.I}, uniform);
    parameters.add(std::string("w_hh") + suffix(d), {GH, w.H}, uniform);
    parameters.add(std::string("b_ih") + suffix(d), {GH}, uniform);
    parameters.add(std::string("b_hh") + suffix(d), {GH}, uniform);
  }
}

/// y [T, N, directions*H]
Value layer(Graph& g, const Parameters& p, const Workload& w, Precision precision) {
  std::vector<Value> outputs;
  for (int d = 0; d < w.directions; ++d) {
    RecurrentWeights weights;
    weights.w_ih = p.use(g, std::string("w_ih") + suffix(d));
    weights.w_hh = p.use(g, std::string("w_hh") + suffix(d));
    weights.b_ih = p.use(g, std::string("b_ih") + suffix(d));
    weights.b_hh = p.use(g, std::string("b_hh") + suffix(d));
    RecurrentOptions options;
    options.cell = cell_of(w);
    options.direction = d == 0 ? Direction::forward : Direction::reverse;
    options.precision = precision;
    outputs.push_back(recurrent(p.use(g, "x"), options, weights).output);
  }
  return outputs.size() == 1 ? outputs[0] : concat(outputs, -1);
}

enum class Pass { forward, train };
const char* name_of(Pass pass) { return pass == Pass::forward ? "forward" : "train"; }

/// What a pass computes, by name: y, or the gradients from dy.
Results compute(const Device& device, const Workload& w, Precision precision, Pass pass) {
  Parameters parameters(device, 1);
  add_parameters(parameters, w);
  const auto build = [&](Graph& g) { return layer(g, parameters, w, precision); };
  if (pass == Pass::train) {
    Backpropagation train(device, parameters, build);
    train.run({});
    return train.gradients();
  }
  const HostTensor y = Session(device, parameters, [&](Graph& g) { g.output("y", build(g)); }).run({}).at("y");
  return {{"y", {y.view<float>().begin(), y.view<float>().end()}}};
}

/// "a,b" to a and b.
std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

/// The same layer with so few steps that the CPU is quick.
Workload shortened(Workload w) {
  const double per_step = 24.0 * w.N * w.H * (w.H + w.I) * w.directions;  // floating-point operations of training
  w.T = std::min(w.T, std::clamp(static_cast<int>(2e10 / per_step), 3, 24));
  return w;
}

class Contest {
 public:
  /// @param strategies  by name; "" is the device's own, kChoice only says which that is
  Contest(std::shared_ptr<SteeredBackend> backend, std::vector<std::string> strategies, Records& records,
          const Budget& budget)
      : backend_(std::move(backend)),
        device_(backend_),
        strategies_(std::move(strategies)),
        records_(records),
        budget_(budget) {}

  void run(const Workload& w) {
    if (budget_.spent()) return leave_out(w, "all", "", "", "no time", "the time budget is spent");
    Parameters parameters(device_, 1);
    add_parameters(parameters, w);
    for (const Pass pass : {Pass::forward, Pass::train}) {
      const Results reference = compute(cpu_device(), shortened(w), Precision::f32, pass);
      for (const Precision precision : kPrecisions) {
        for (const std::string& strategy : strategies_) {
          if (strategy == kChoice) continue;
          attempt(w, pass, precision, strategy, [&] { contend(w, pass, precision, strategy, reference, parameters); });
        }
      }
    }
    if (std::find(strategies_.begin(), strategies_.end(), kChoice) == strategies_.end()) return;
    for (const Precision precision : kPrecisions) {
      attempt(w, Pass::forward, precision, "", [&] { note_choice(w, precision, parameters); });
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

  void contend(const Workload& w, Pass pass, Precision precision, const std::string& strategy, const Results& reference,
               Parameters& parameters) {
    const Disagreement found = compare(compute(device_, shortened(w), precision, pass), reference);
    if (backend_->last_strategy().find(strategy) == std::string::npos) {
      return leave_out(w, name_of(pass), to_string(precision), strategy, "unsupported",
                       "the device took " + backend_->last_strategy());
    }
    if (!(found.error <= tolerance(precision))) {
      return leave_out(w, name_of(pass), to_string(precision), strategy, "disagrees",
                       found.worst + " is off by " + std::to_string(found.error) + " of its norm from the CPU's");
    }
    if (pass == Pass::forward) {
      const auto session = forward_pass(w, precision, parameters);
      time(w, pass, precision, found.error, [&] { session->run({}); });
    } else {
      const auto train = training_pass(w, precision, parameters);
      time(w, pass, precision, found.error, [&] { train->run({}); });
    }
  }

  std::unique_ptr<Session> forward_pass(const Workload& w, Precision precision, const Parameters& parameters) {
    return std::make_unique<Session>(device_, parameters, [&parameters, w, precision](Graph& g) {
      g.output("last", slice(layer(g, parameters, w, precision), 0, w.T - 1, w.T));
    });
  }
  std::unique_ptr<Backpropagation> training_pass(const Workload& w, Precision precision, Parameters& parameters) {
    return std::make_unique<Backpropagation>(
        device_, parameters, [&parameters, w, precision](Graph& g) { return layer(g, parameters, w, precision); });
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
  void note_choice(const Workload& w, Precision precision, Parameters& parameters) {
    const auto session = forward_pass(w, precision, parameters);
    backend_->pretend(true);
    session->run({});
    Json record{{"kind", "choice"}, {"workload", w.name()}, {"precision", to_string(precision)}};
    record["forward"] = backend_->last_strategy();
    record["explain"] = session->explain({});
    training_pass(w, precision, parameters)->run({});
    record["train"] = backend_->last_strategy();
    backend_->pretend(false);
    records_.write(record);
  }

  std::shared_ptr<SteeredBackend> backend_;
  Device device_;
  std::vector<std::string> strategies_;
  Records& records_;
  const Budget& budget_;
};

void run(int argc, char** argv) {
  Arguments arguments(argc, argv,
                      {{"--workloads", ""},
                       {"--records", ""},
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
  Contest contest(std::make_shared<SteeredBackend>(inner), strategies, records, budget);
  for (const Workload& w : read_workloads(arguments["--workloads"], "gpu")) contest.run(w);
}

}  // namespace

int main(int argc, char** argv) {
  return run_program("seqgpu_rnn", [&] { run(argc, argv); });
}
