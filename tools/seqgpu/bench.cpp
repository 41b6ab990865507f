#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "commands.hpp"
#include "device.hpp"
#include "seqgpu/seqgpu.hpp"

// Times recurrent networks on this machine, ours alone; scripts/bench holds them against others.
namespace seqgpu::tool {
namespace {

struct Options {
  std::vector<std::string> shapes{"50,32,128,128,1,1",  "100,32,256,256,1,1", "100,32,512,512,1,1",
                                  "100,64,512,512,2,2", "200,1,256,256,1,1",  "1000,1,128,128,1,1",
                                  "20,16,100,100,1,2",  "150,16,40,128,2,2",  "50,128,1024,1024,1,1"};
  std::vector<std::string> cells{"lstm", "gru", "elman"}, passes{"forward", "train"};
  std::int64_t threads = 0, repeats = 11;
  bool ragged = false, json = false;
};

struct Network {
  std::int64_t T = 0, N = 0, I = 0, H = 0, layers = 1, directions = 1;
  CellKind cell = CellKind::lstm;
  bool ragged = false, training = false;
};

Network parse(const std::string& shape, const std::string& cell) {
  Network n;
  std::int64_t* const fields[] = {&n.T, &n.N, &n.I, &n.H, &n.layers, &n.directions};
  std::size_t count = 0, at = 0;
  bool good = true;
  for (bool more = true; more && good; ++count) {
    const std::size_t comma = std::min(shape.find(',', at), shape.size());
    const std::string part = shape.substr(at, comma - at);
    good = count < std::size(fields) && !part.empty() && part.size() < 8 &&
           part.find_first_not_of("0123456789") == std::string::npos;
    if (good) *fields[count] = std::stoll(part);
    more = comma < shape.size();
    at = comma + 1;
  }
  good = good && count >= 4 && n.directions <= 2;
  for (const std::int64_t* field : fields) good = good && *field > 0;
  if (!good) {
    throw Error(ErrorCode::invalid_argument, "bench", "--shape",
                "must be T,N,I,H or T,N,I,H,layers,directions, whole numbers above 0, with 1 or 2 directions, such as "
                "100,32,256,256,1,1; got " +
                    shape);
  }
  for (const CellKind kind : {CellKind::lstm, CellKind::gru, CellKind::gru_reset_before, CellKind::elman}) {
    if (cell == to_string(kind)) {
      n.cell = kind;
      return n;
    }
  }
  throw Error(ErrorCode::invalid_argument, "bench", "--cell",
              "must be lstm, gru, gru_reset_before or elman, got " + cell);
}

/// Products of all valid steps; a training step has three of each.
double flops(const Network& n, std::int64_t valid) {
  double sum = 0;
  for (std::int64_t layer = 0; layer < n.layers; ++layer) {
    const std::int64_t inputs = layer == 0 ? n.I : n.directions * n.H;
    sum += 2.0 * static_cast<double>(valid * gate_count(n.cell) * n.H * (inputs + n.H) * n.directions);
  }
  return n.training ? 3 * sum : sum;
}

struct Times {
  double median = 0, least = 0, lower = 0, upper = 0;  // seconds; quartiles
  std::int64_t planned_bytes = 0, valid = 0;
};

Times summarize(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  const auto at = [&](std::size_t quarter) { return seconds[(seconds.size() - 1) * quarter / 4]; };
  return {at(2), seconds.front(), at(1), at(3)};
}

/// x is a parameter: it lives on the device and, in training, has a gradient.
Times measure(const Device& device, const Network& n, std::int64_t repeats) {
  Parameters parameters(device, 1);
  parameters.add("x", {n.T, n.N, n.I}, {.kind = Initializer::Kind::uniform, .scale = 1.f});
  const nn::Recurrent rnn(parameters, "rnn",
                          {.cell = n.cell,
                           .input = n.I,
                           .hidden = n.H,
                           .layers = static_cast<int>(n.layers),
                           .bidirectional = n.directions == 2});
  Batch batch;
  std::int64_t valid = n.T * n.N;
  if (n.ragged) {
    std::mt19937 random(1);
    std::vector<std::int32_t> lengths;
    const std::int64_t least = std::max<std::int64_t>(1, n.T / 10);
    valid = 0;
    for (std::int64_t i = 0; i < n.N; ++i) {
      lengths.push_back(static_cast<std::int32_t>(least + static_cast<std::int64_t>(random()) % (n.T - least + 1)));
      valid += lengths.back();
    }
    batch["lengths"] = HostTensor::of(Shape{n.N}, lengths);
  }
  const auto y = [&](Graph& g) {
    const Value lengths = n.ragged ? g.input("lengths", DType::i32, {"N"}) : Value{};
    return rnn(parameters.use(g, "x"), lengths);
  };
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<Session> session;
  if (n.training) {
    trainer = std::make_unique<Trainer>(device, parameters, Sgd{.rate = 0.f},
                                        [&](Graph& g) { return reduce_all(y(g), Reduction::sum); });
  } else {
    session = std::make_unique<Session>(device, parameters,
                                        [&](Graph& g) { g.output("last", slice(y(g), 0, n.T - 1, n.T)); });
  }
  std::vector<double> seconds;
  for (std::int64_t i = -2; i < repeats; ++i) {  // two to warm up
    const auto start = std::chrono::steady_clock::now();
    if (trainer) {
      trainer->step(batch);
    } else {
      session->run(batch);
    }
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
    if (i >= 0) seconds.push_back(taken.count());
  }
  Times times = summarize(std::move(seconds));
  times.planned_bytes = trainer ? trainer->predicted_peak_bytes(batch) : 0;
  times.valid = valid;
  return times;
}

void show(const Options& o, const std::string& shape, const Network& n, const std::string& pass, const Times& t) {
  const double rate = flops(n, t.valid) / t.median / 1e9;
  if (o.json) {
    const nlohmann::ordered_json line{{"cell", to_string(n.cell)},
                                      {"shape", shape},
                                      {"pass", pass},
                                      {"ragged", n.ragged},
                                      {"median", t.median},
                                      {"min", t.least},
                                      {"q1", t.lower},
                                      {"q3", t.upper},
                                      {"repeats", o.repeats},
                                      {"gflops", rate},
                                      {"planned_bytes", t.planned_bytes}};
    fmt::print("{}\n", line.dump());
    return;
  }
  fmt::print("{:<6} {:<22} {:<8} {:>10.4g} {:>10.4g} {:>10.4g} {:>10.4g} {:>9.1f}\n", to_string(n.cell), shape, pass,
             1e3 * t.median, 1e3 * t.least, 1e3 * t.lower, 1e3 * t.upper, rate);
}

void run_bench(const Options& o) {
  std::vector<std::pair<std::string, Network>> networks;  // all are read before any is timed
  for (const std::string& shape : o.shapes) {
    for (const std::string& cell : o.cells) networks.emplace_back(shape, parse(shape, cell));
  }
  for (const std::string& pass : o.passes) {
    if (pass == "forward" || pass == "train") continue;
    throw Error(ErrorCode::invalid_argument, "bench", "--pass", "must be forward or train, got " + pass);
  }
  const DeviceChoice choice = take_device(o.threads);
  if (!o.json) {
    fmt::print("{}\n{:<6} {:<22} {:<8} {:>10} {:>10} {:>10} {:>10} {:>9}\n", to_line(choice), "cell", "T,N,I,H,L,D",
               "pass", "median ms", "min", "quartile", "quartile", "GFLOP/s");
  }
  for (auto& [shape, network] : networks) {
    for (const std::string& pass : o.passes) {
      network.training = pass == "train";
      network.ragged = o.ragged;
      show(o, shape, network, pass, measure(choice.device, network, o.repeats));
    }
  }
}

}  // namespace

void add_bench(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("bench", "Time recurrent networks on this machine (scripts/bench: beside others)");
  auto options = std::make_shared<Options>();
  command->add_option("--shape", options->shapes, "T,N,I,H,layers,directions; several")->capture_default_str();
  command->add_option("--cell", options->cells, "lstm, gru, gru_reset_before, elman; several")->capture_default_str();
  command->add_option("--pass", options->passes, "forward, train; several")->capture_default_str();
  command->add_option("--repeats", options->repeats, "timed runs of each")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command->add_option("--threads", options->threads, "CPU threads; 0: the device by itself")
      ->check(CLI::Range(0, 4096));
  command->add_flag("--ragged", options->ragged, "lengths uniform in [T/10, T] instead of T");
  command->add_flag("--json", options->json, "a line of JSON a row instead of a table");
  command->callback([options] { run_bench(*options); });
}

}  // namespace seqgpu::tool
